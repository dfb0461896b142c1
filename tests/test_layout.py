"""The house: which room imports which, what a subclass may fill in, how large things are."""

import ast
import inspect
import statistics
import sys
from pathlib import Path

import pytest
from sklearn.base import BaseEstimator

import skneg
from skneg import _method
from skneg._registry import DETECTORS, HOLDERS, detector_class
from skneg.base import OpenSetDetector

PACKAGE = Path(skneg.__file__).parent

# From the ground up: a room may import the rooms that stand before it, and itself. The package's own
# `__init__` and `__main__` stand above all.
FLOORS = [
    [
        "errors",
        "_utils",
        "_forks",
        "_progress",
        "_softmax",
        "_mining",
        "_texts",
        "_sklearn",
        "_json",
        "_files",
        "_eviction",
        "_registry",
    ],
    ["images", "vocabulary", "bank", "scores", "backbone"],
    ["threshold", "_state"],
    [
        "evidence",
        "cache",
        "encoder",
        "datasets",
        "prompts",
        "words",
        "adaptation",
        "metrics",
        "model_selection",
    ],
    ["persistence", "inspection", "streams", "monitoring"],
    [
        "_doubts",
        "_naming",
        "_labels",
        "_crossfit",
        "_reading",
        "_fitting",
        "_more_images",
        "_method",
        "base",
        "detectors",
    ],
    ["plotting", "report", "export", "distributed", "benchmarks", "_commands", "__main__"],
]
HEIGHT = {room: i for i, room in enumerate(room for floor in FLOORS for room in floor)}
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(file):
    part = file.relative_to(PACKAGE).parts[0]
    return part.removesuffix(".py")


def imports_of(file):
    """Full names of the skneg modules that a file imports, inside functions too, but not for types."""
    module = ["skneg", *file.relative_to(PACKAGE).with_suffix("").parts]
    tree = ast.parse(file.read_text())
    for_types = {
        id(node)
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and "TYPE_CHECKING" in ast.dump(test.test)
        for node in ast.walk(test)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "skneg")
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(module[: len(module) - node.level]) if node.level else ""
            name = ".".join(filter(None, [start, node.module]))
            if name.split(".")[0] == "skneg":
                yield from (f"{name}.{alias.name}" for alias in node.names) if name == "skneg" else [name]


def test_every_room_has_a_floor():
    rooms = {room_of(file) for file in FILES} - {"__init__"}
    assert rooms == set(HEIGHT)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_run_downwards_only(file):
    own = room_of(file)
    if own in ("__init__", "benchmarks"):  # above all rooms
        return
    for name in imports_of(file):
        parts = name.split(".")
        assert len(parts) > 1, f"{file} imports the whole package"
        if parts[1] in HEIGHT:
            assert HEIGHT[parts[1]] <= HEIGHT[own], f"{file} imports {name}, which stands above it"


def test_there_are_no_circles():
    graph = {}
    for file in FILES:
        module = ".".join(["skneg", *file.relative_to(PACKAGE).with_suffix("").parts])
        graph[module.removesuffix(".__init__")] = list(imports_of(file))
    done, path = set(), []

    def visit(module):
        assert module not in path, f"a circle: {' -> '.join([*path[path.index(module) :], module])}"
        if module in done or module not in graph:
            return
        path.append(module)
        for other in graph[module]:
            visit(other)
        done.add(path.pop())

    for module in graph:
        visit(module)


def test_torch_is_imported_in_its_rooms_only():
    for file in FILES:
        if room_of(file) in ("prompts", "backbone", "benchmarks") or file.name == "train_tiny.py":
            continue
        roots = {
            alias.name.split(".")[0]
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in ([ast.alias(node.module or "")] if isinstance(node, ast.ImportFrom) else node.names)
        }
        assert not roots & {"torch", "open_clip"}, file


HOOKS = {
    "_check_parameters", "_space", "_represent", "_learn", "_prepare", "_score", "_posterior",
    "_judge", "_score_of_missing", "_class_scores",
}  # fmt: skip
CLASSES = [detector_class(name) for name in {**DETECTORS, **HOLDERS}]


def test_hooks_are_those_of_the_table():
    assert len(HOOKS) <= 10
    for hook in HOOKS:
        assert f"``{hook}(" in _method.__doc__


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_nothing_private_but_the_hooks_is_overridden(cls):
    for child in cls.__mro__:
        if not child.__module__.startswith("skneg"):
            continue
        for name in vars(child):
            if not name.startswith("_") or name.startswith("__") or name in HOOKS:
                continue
            above = [parent for parent in child.__mro__[1:] if name in vars(parent)]
            above = [p for p in above if p.__module__.startswith("skneg") and name not in ("_state",)]
            assert not above, f"{child.__name__}.{name} overrides {above[0].__name__}'s"


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_few_bases_and_few_parameters(cls):
    assert all(len(c.__bases__) <= 3 for c in cls.__mro__ if c.__module__.startswith("skneg"))
    names = list(inspect.signature(cls).parameters)
    assert len(names) <= 18
    if issubclass(cls, OpenSetDetector):
        first = [name for name in ("model", "class_names", "contamination", "random_state") if name in names]
        assert names[: len(first)] == first
    assert issubclass(cls, BaseEstimator)


def test_modules_are_short():
    lengths = [len(file.read_text().splitlines()) for file in FILES]
    assert max(lengths) <= 400
    assert statistics.median(lengths) < 150


def test_every_module_with_logic_has_a_test_file_of_its_name():
    tests = Path(__file__).parent
    missing = []
    for file in FILES:
        place = file.relative_to(PACKAGE)
        has_logic = any(isinstance(n, ast.FunctionDef) for n in ast.walk(ast.parse(file.read_text())))
        name = place.stem.lstrip("_")
        if has_logic and place.stem not in ("__init__",):
            wanted = tests / place.parent / f"test_{name.removesuffix('__')}.py"
            if not wanted.exists():
                missing.append(str(place))
    assert missing == []


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A detector in one file, with one line in the table."""
    (tmp_path / "toy_detector.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(DETECTORS, "ToyDetector", "toy_detector")
    yield detector_class("ToyDetector")
    sys.modules.pop("toy_detector", None)


TOY = '''
"""The mean cosine to the class names: a toy."""

from skneg.detectors._zero_shot import ZeroShotDetector


class ToyDetector(ZeroShotDetector):
    """Scores by the mean of the two largest cosines."""

    reference = "nobody, nowhere"

    def __init__(self, *, n_largest=2, **shared):
        super().__init__(**shared)
        self.n_largest = n_largest

    def _score(self, state, Z):
        def score(positive, negative, words):
            positive = positive.astype("float64")
            positive.sort(axis=1)
            return positive[:, -self.n_largest :].mean(axis=1)

        return state.text_bank_.score(Z, score)
'''


class TestAToyDetector:
    def test_is_listed_and_exported(self, toy):
        assert skneg.ToyDetector is toy
        assert [i.paper for i in skneg.list_detectors() if i.name == "ToyDetector"] == ["nobody, nowhere"]

    def test_is_saved_and_loaded(self, toy, embedded, tmp_path):
        X, y = embedded
        detector = toy(model="skneg-tiny", n_largest=1).fit(X, y)
        detector.save(tmp_path / "toy.skneg")
        again = skneg.load(tmp_path / "toy.skneg")
        assert type(again) is toy
        assert (again.score_samples(X) == detector.score_samples(X)).all()

    def test_is_benchmarked(self, toy, tmp_path):
        from skneg.benchmarks import run_benchmark

        run_benchmark("scenes", detectors=["ToyDetector"], seeds=1, out=tmp_path)
        assert "ToyDetector" in (tmp_path / "results.jsonl").read_text()

    def test_keeps_every_promise_of_the_interface(self, toy, scenes, strange_scenes, embedded):
        from .test_common import TestEveryDetector

        cache = {}

        def build(name, **parameters):
            return toy(model="skneg-tiny", **parameters)

        def fitted(name):
            return cache.setdefault(name, build(name).fit(*scenes))

        given = {
            "name": "ToyDetector", "build": build, "fitted": fitted, "scenes": scenes,
            "strange_scenes": strange_scenes, "embedded": embedded,
        }  # fmt: skip
        promises = [m for m in dir(TestEveryDetector) if m.startswith("test_")]
        assert len(promises) >= 15
        for promise in promises:
            method = getattr(TestEveryDetector(), promise)
            method(**{name: given[name] for name in inspect.signature(method).parameters})
