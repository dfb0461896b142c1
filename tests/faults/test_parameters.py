"""Values of parameters in files: each comes back as what it was, or is refused before a file is written."""

import collections
import enum
import os
import pickle
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import skneg
from skneg import Words
from skneg.errors import PersistenceError, SknegError
from skneg.prompts import CoOpRecipe, PromptRecipe

from ..test_common import NAMES, words_for
from ._tiny import tiny_detector, tiny_fitted, tiny_input


class Color(enum.StrEnum):
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


holds_itself: list = []
holds_itself.append(holds_itself)

HELD = {
    "float32": np.float32(0.1), "float64": np.float64(0.1), "int64": np.int64(3), "bool": np.True_,
    "text": np.str_("a"), "nan": float("nan"), "inf": float("-inf"), "large int": 10**400,
    "tuple": (1, ("a", None)), "keys": {1: "a", None: 2.5, (1, 2): [], np.int64(4): True},
    "path": Path("a/b"), "array": np.array([1e-310, np.nan, -0.0]), "surrogate": "\ud800",
    "lists in an array": np.array([[1, 2], [3], None], dtype=object), "words": Words(["a", "b"]),
    "recipe": PromptRecipe(beta=np.float32(0.3)), "other recipe": CoOpRecipe(n_epochs=7),
    "random state": np.random.RandomState(5),
}  # fmt: skip
REFUSED = {
    "huge int": 10**5000, "longdouble": np.longdouble(1), "date": np.datetime64("2020-01-01"),
    "enum": Color.RED, "number of an enum": Number.ONE, "set": {"a"}, "bytes": b"a", "dtype": np.dtype("f4"),
    "type": np.float32, "class": skneg.MCMDetector, "function": words_for, "lambda": lambda x: x,
    "generator": np.random.default_rng(0), "other bits": np.random.RandomState(np.random.PCG64(0)),
    "global": np.random.mtrand._rand, "numpy.random": np.random, "estimator": LogisticRegression(),
    "order": collections.OrderedDict(a=1), "default": collections.defaultdict(int),
    "named tuple": collections.namedtuple("Pair", "a")(1), "mask": np.ma.array([1.0, 2], mask=[0, 1]),
    "matrix": np.ones((1, 1)).view(np.matrix), "complex": 1j, "itself": holds_itself,
    "in a dict": {"a": [{"b": {1}}]}, "record": np.zeros(1, dtype=[("a", "f4")]),
    "pure path": PurePosixPath("a"),
}  # fmt: skip


def same(one, other):
    """Whether two values are of one type and equal, all that they hold included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.random.RandomState):
        return same(one.get_state(legacy=False), other.get_state(legacy=False))
    if isinstance(one, np.ndarray):
        if one.dtype == object:
            return one.shape == other.shape and same(one.ravel().tolist(), other.ravel().tolist())
        return one.dtype == other.dtype and one.tobytes() == other.tobytes()
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if hasattr(one, "get_params"):
        return same(one.get_params(deep=False), other.get_params(deep=False))
    return one == other or (one != one and other != other)


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    """Thousands of files are written, and what a crash would leave of them is another test's matter."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.mark.parametrize("name", NAMES)
def test_a_value_comes_back_as_it_was_or_is_refused(name, tmp_path):
    file, detector = tmp_path / "a.skneg", pickle.loads(pickle.dumps(tiny_fitted(name)))
    back = {"candidate_labels": words_for} if name == "ZOCDetector" else {}
    parameters = detector.get_params(deep=False)
    n_kept = 0
    for parameter, usual in parameters.items():
        for kind, value in {"as fitted": usual, **HELD, **REFUSED}.items():
            if parameter == "device" and isinstance(value, str) and value != usual:
                continue  # of another machine: replaced, with a warning
            setattr(detector, parameter, value)
            try:
                detector.save(file)
            except SknegError:
                assert not file.exists()
                assert kind != "as fitted"
                continue
            # A function that computes is the user's own, and is asked for again.
            if not (callable(value) and parameter in back):
                assert kind not in REFUSED, (parameter, kind)
                loaded = skneg.load(file, **{key: v for key, v in back.items() if key != parameter})
                assert same(getattr(loaded, parameter), value), (parameter, kind)
                n_kept += 1
            file.unlink()
        setattr(detector, parameter, usual)
    assert n_kept >= 3 * len(parameters)


@pytest.mark.parametrize("kind", REFUSED)
def test_the_parameter_is_named(kind, tmp_path):
    detector = pickle.loads(pickle.dumps(tiny_fitted("MCMDetector")))
    detector.class_names = REFUSED[kind]
    with pytest.raises(PersistenceError, match="^class_names"):
        detector.save(tmp_path / "a.skneg")
    assert list(tmp_path.iterdir()) == []


def test_a_random_state_is_where_fit_has_left_it(tmp_path):
    detector = tiny_detector("KNNDetector").set_params(random_state=np.random.RandomState(3))
    detector.fit(*tiny_input("KNNDetector"))
    detector.random_state.normal(size=5)  # an odd number leaves half a pair of normal numbers behind
    detector.save(tmp_path / "a.skneg")
    again = skneg.load(tmp_path / "a.skneg").random_state
    assert same(again, detector.random_state)
    np.testing.assert_array_equal(again.normal(size=4), detector.random_state.normal(size=4))
