"""The pages: their code runs as it stands, page by page, and the reference has every public name."""

from __future__ import annotations

import importlib
import inspect
import re
import runpy
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn import config_context

import skneg
from skneg import NegPromptDetector
from skneg.backbone import _loading, _width
from skneg.datasets import make_far_ood, make_scenes

from .backbone.test_timm import saved
from .conftest import KNOWN, STRANGE
from .test_examples import outline

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"(?P<mark>^ *<!-- not run:(?P<reason>[^\n]*)-->\n)?^(?P<indent> *)```python\n(?P<code>.*?)^ *```$"
    r"(?:\n\n```text\n(?P<printed>.*?)^```$)?",
    re.S | re.M,
)


# A script of examples/ as a whole: tests/test_examples.py runs it.
SCRIPT = re.compile(r'^``` \{ \.python title="(examples/\w+\.py)" \}\n--8<-- "\1"\n```$', re.M)


def blocks_of(page):
    return list(BLOCK.finditer(page.read_text()))


WITH_CODE = [page for page in PAGES if blocks_of(page)]


@pytest.fixture(scope="module", autouse=True)
def default_model_is_tiny(tmp_path_factory):
    """`NegPromptDetector()` of a page takes the shipped model, since ViT-B-16 would be downloaded.

    A small random model stands in for DINOv2.
    """
    load, width = _loading._load, _width.embedding_width
    dino = saved(tmp_path_factory.mktemp("dino") / "model")
    small = {"ViT-B-16": "skneg-tiny", "timm:vit_base_patch14_dinov2.lvd142m": f"timm:local-dir:{dino}"}

    def tiny(model):
        return small.get(model, model)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_loading, "DEFAULT_PRETRAINED", {})
        patch.setattr(_loading, "_loaded", dict(_loading._loaded))
        patch.setattr(_loading, "_load", lambda model, *rest: load(tiny(model), *rest))
        patch.setattr(_width, "embedding_width", lambda model, *rest: width(tiny(model), *rest))
        yield


@pytest.fixture(scope="module")
def shared(default_model_is_tiny, tmp_path_factory):
    """What a reader of the pages has: images, labels, and a fitted detector in a file."""
    X, y = make_scenes(150, shapes=KNOWN, random_state=0)
    X_unknown = make_scenes(40, shapes=STRANGE, random_state=1)[0]
    X_new, y_new = make_scenes(130, shapes=KNOWN, random_state=2)
    X_known = make_scenes(60, shapes=KNOWN, random_state=3)[0]
    good = make_scenes(150, shapes=["star"], random_state=4)[0]
    file = tmp_path_factory.mktemp("docs") / "detector.skneg"
    NegPromptDetector(random_state=0).fit(X, y).save(file)
    embeddings = skneg.CLIPImageEncoder().transform(X)
    words = ["cat", "dog", "fog"]
    return file, {
        "X": np.concatenate([X, X_unknown]), "y": np.concatenate([y.astype(object), ["unknown"] * 40]),
        "films": np.arange(190) % 38, "X_new": X_new, "y_new": y_new, "X_known": X_known, "X_test": X_known,
        "X_unknown": X_unknown, "X_near": X_unknown, "X_far": make_far_ood(30, random_state=0),
        "embeddings": embeddings, "labels": y, "words": words, "word_embeddings": embeddings[:3],
        "name_embeddings": embeddings[:3],
        "good_parts": good[:60], "new_parts": good[60:70],
        "good_images": good[:60], "new_images": good[60:70],
        "new_good_images": good[70:130], "good_test_images": good[130:],
        "scratches": X_unknown[:20], "stains": X_unknown[20:],
    }  # fmt: skip


def draw(pixels, file):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file, quality=95)


@pytest.fixture
def names(shared, tmp_path, monkeypatch):
    """The names of one page, in a folder of its own with the files that pages read."""
    file, given = shared
    monkeypatch.chdir(tmp_path)
    for number, (pixels, label) in enumerate(zip(given["X"][:120], given["y"][:120], strict=True)):
        draw(pixels, tmp_path / "animals" / label / f"{number}.jpg")
    draw(given["X_new"][0], tmp_path / "new.jpg")
    return {**given, "detector": skneg.load(file)}


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.name)
def test_the_code_of_a_page_runs(page, names, capsys):
    with config_context():  # a page may set scikit-learn's configuration
        for block in blocks_of(page):
            if block["mark"]:
                continue
            above = page.read_text()[: block.start("code")].count("\n")
            code = "\n" * above + textwrap.dedent(block["code"])
            # With the blank lines above it, a traceback names the line of the page.
            exec(compile(code, str(page), "exec"), names)
            printed = capsys.readouterr().out
            if block["printed"] or (printed and page.name == "tutorial.md"):
                assert outline(printed) == outline(block["printed"] or ""), "out of date: run `make pictures`"


def test_code_that_is_not_run_is_rare_and_says_why():
    reasons = [block["reason"].strip() for page in PAGES for block in blocks_of(page) if block["mark"]]
    assert all(len(reason.split()) >= 3 for reason in reasons)
    assert len(reasons) <= 4


def test_no_block_escapes():
    for page in PAGES:
        text = SCRIPT.sub("", page.read_text())
        assert len(re.findall(r"``` *(?:\{ *\.)?(?:py|python|pycon)\b", text)) == len(blocks_of(page)), page
        assert text.count("<!-- not run") == sum(bool(block["mark"]) for block in blocks_of(page)), page


PACKAGES = [
    "adaptation", "backbone", "bank", "benchmarks", "cache", "datasets", "detectors", "distributed",
    "encoder", "errors", "evidence", "export", "images", "inspection", "metrics", "model_selection",
    "monitoring", "persistence", "plotting", "prompts", "report", "scores", "streams", "threshold",
    "words",
]  # fmt: skip


def public_names(module):
    """`__all__`, or what a module without it defines."""
    if hasattr(module, "__all__"):
        return module.__all__
    return [n for n, value in vars(module).items() if n[0] != "_" and is_made_in(value, module)]


def is_made_in(value, module):
    made = inspect.isclass(value) or inspect.isroutine(value) or hasattr(value, "__wrapped__")
    return made and value.__module__ == module.__name__


def directives():
    text = "\n".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
    return re.findall(r"^::: (\S+)$", text, re.M)


def resolve(path):
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("package", ["", *PACKAGES])
def test_the_reference_has_every_public_name(package):
    module = importlib.import_module(f"skneg.{package}".rstrip("."))
    shown = directives()
    ids = {id(resolve(path)) for path in shown}  # `skneg.Words` and `skneg.words.Words` are one thing
    missing = [
        name
        for name in public_names(module)
        if f"{module.__name__}.{name}" not in shown and id(getattr(module, name)) not in ids
    ]
    assert missing == []


def test_the_reference_has_every_public_package():
    folder = Path(skneg.__file__).parent
    public = {
        path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    inner = {"base", "vocabulary"}  # what detectors are made of; OpenSetDetector has its entry
    assert {name for name in public if not name.startswith("_")} - inner == set(PACKAGES)


def test_the_reference_names_nothing_twice():
    shown = directives()
    assert len(shown) == len(set(shown)) > 100


class TestPageLinks:
    """Docstrings name a page as "docs/searches.md"; docs/page_links.py makes it a link of the site."""

    links = runpy.run_path(str(ROOT / "docs" / "page_links.py"))
    sources = sorted(Path(skneg.__file__).parent.rglob("*.py"))

    def test_every_page_that_the_code_names_exists(self):
        named = {page for file in self.sources for page in self.links["PAGE"].findall(file.read_text())}
        assert len(named) >= 5
        assert {page for page in named if not (ROOT / "docs" / page).exists()} == set()

    def test_pages_are_named_in_one_way(self):
        for file in self.sources:
            other = re.findall(r"(?<!docs/)\b[\w-]+\.md\b", file.read_text())
            assert [name for name in other if (ROOT / "docs" / name).exists()] == [], file

    def test_a_name_becomes_a_link_with_the_title(self):
        text = self.links["PAGE"].sub(self.links["link"], "as a search does (docs/searches.md).")
        assert text == "as a search does ([Searches and Pipelines](../searches.md))."


class TestPictures:
    def test_the_layout_is_that_of_the_package(self):
        picture = runpy.run_path(str(ROOT / "docs" / "layout_picture.py"))
        assert picture["PICTURE"].read_text() == picture["svg"](), "out of date: run `make pictures`"

    def test_how_it_decides_shows_what_is_drawn(self):
        drawn = runpy.run_path(str(ROOT / "docs" / "pictures.py"))["DECISIONS"]
        text = (ROOT / "docs" / "how-it-decides.md").read_text()
        assert set(re.findall(r"images/how-it-decides/([\w-]+)\.png", text)) == set(drawn)


def test_the_performance_page_has_the_figures_that_were_measured():
    page = runpy.run_path(str(ROOT / "benchmarks" / "run.py"))["page"]
    stored = (ROOT / "docs" / "performance.md").read_text()
    assert stored == page(), "out of date: run `python benchmarks/run.py --page`"
