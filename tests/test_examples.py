"""The examples run as a user runs them, and the gallery shows what they print and draw."""

import logging
import re
import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image

from skneg.datasets import make_scenes

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "examples"
LONGER = {
    "demo": "`make demo`",
    "displays": "draws the pictures of docs/displays.md",
}  # no page in the gallery
LIMITS = {"onnx_runtime": 65, "serve": 90}  # both sides of a service
GALLERY = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in LONGER)


@pytest.fixture
def run(monkeypatch, tmp_path):
    def call(script, *arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [script.name, *map(str, arguments)])
        runpy.run_path(str(script), run_name="__main__")

    yield call
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


def outline(text):
    """What is printed, without its numbers, which other machines round differently."""
    return re.sub(r"[\d.]+", "0", text).split()


@pytest.mark.parametrize("name", GALLERY)
def test_an_example_draws_its_picture_and_prints_what_the_gallery_shows(name, run, tmp_path, capsys):
    run(FOLDER / f"{name}.py")
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.png"]
    shown = (ROOT / "docs" / "gallery" / "output" / f"{name}.txt").read_text()
    assert outline(capsys.readouterr().out) == outline(shown) != []
    committed = ROOT / "docs" / "images" / "gallery" / f"{name}.png"
    with Image.open(tmp_path / f"{name}.png") as now, Image.open(committed) as then:
        assert now.size == then.size


@pytest.mark.parametrize("name", GALLERY)
def test_an_example_is_short_and_has_its_page_with_a_small_picture(name):
    script = (FOLDER / f"{name}.py").read_text()
    assert 20 <= len(script.splitlines()) <= LIMITS.get(name, 60)
    page = (ROOT / "docs" / "gallery" / f"{name}.md").read_text()
    for part in (f'--8<-- "examples/{name}.py"', f'--8<-- "docs/gallery/output/{name}.txt"', f"{name}.png"):
        assert part in page
    assert f"]({name}.md)" in (ROOT / "docs" / "gallery" / "index.md").read_text()
    assert (ROOT / "docs" / "images" / "gallery" / f"{name}.png").stat().st_size < 80_000


def test_the_gallery_has_nothing_without_a_script():
    pages = {path.stem for path in (ROOT / "docs" / "gallery").glob("*.md")} - {"index"}
    pictures = {path.stem for path in (ROOT / "docs" / "images" / "gallery").iterdir()}
    outputs = {path.stem for path in (ROOT / "docs" / "gallery" / "output").iterdir()}
    assert pages == pictures == outputs == set(GALLERY)


def test_the_demo(run, tmp_path):
    run(FOLDER / "demo.py", "--seeds", 1, "--out", tmp_path / "out")
    assert (tmp_path / "out" / "scores.png").stat().st_size > 1000
    assert "Names for the unknown" in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_the_displays(run, tmp_path):
    run(FOLDER / "displays.py")
    assert len(list(tmp_path.rglob("*.png"))) >= 6


def draw(place, shape, n=30):
    place.mkdir(parents=True)
    for number, pixels in enumerate(make_scenes(n, shapes=[shape], random_state=1)[0]):
        Image.fromarray(pixels).save(place / f"{number}.png")


@pytest.fixture
def photographs(tmp_path):
    for folder, shapes in (("known", ["star", "heart"]), ("other", ["fish"])):
        for shape in shapes:
            draw(tmp_path / folder / shape, shape)
    return tmp_path / "known", tmp_path / "other"


def test_photographs_in_folders(run, photographs, capsys):
    run(FOLDER / "photos.py", *photographs, "--model", "skneg-tiny")
    out = capsys.readouterr().out
    assert out.count("of 30 known images get their class") == 2
    assert out.count("of 30 other images get 'unknown'") == 2


def test_the_benchmark_on_photographs(run, photographs, caplog):
    caplog.set_level(logging.INFO)
    known, other = photographs
    script = ROOT / "benchmarks" / "photos.py"
    run(script, known, "--ood", other, "--model", "skneg-tiny", "--train", 20, "--seeds", 1)
    assert "zero-shot MCM" in caplog.text
    assert "NegPrompt" in caplog.text


def test_good_images_and_two_kinds_of_defects_in_folders(run, tmp_path, capsys):
    for folder, shape, n in (("good", "star", 180), ("scratch", "fish", 20), ("stain", "tree", 20)):
        draw(tmp_path / folder, shape, n)
    run(FOLDER / "one_class.py", *(tmp_path / folder for folder in ("good", "scratch", "stain")))
    printed = capsys.readouterr().out
    assert printed.count("scratch ") == printed.count("stain ") == 2
    assert all(float(share) > 0.9 for share in re.findall(r"AUROC, \w+: ([\d.]+)", printed))


def test_what_cannot_be_split_is_refused(run, photographs, capsys):
    for script in ("one_class.py", "photos.py"):
        with pytest.raises(SystemExit):
            run(FOLDER / script, photographs[0])
    error = capsys.readouterr().err
    assert "60 good images" in error
    assert "two folders" in error


def test_good_images_alone(run, tmp_path, capsys):
    draw(tmp_path / "good", "star", 180)
    run(FOLDER / "one_class.py", tmp_path / "good")
    assert "AUROC" not in capsys.readouterr().out
