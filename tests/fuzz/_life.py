"""The life of detectors: any calls in any order, beside a simple model of what they must answer."""

import copy
import functools
import pickle
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import skneg
from skneg import CLIPImageEncoder, PromptRecipe, SknegError
from skneg.datasets import make_scenes

from ..test_common import make_detector
from ._skneg_files import check_answers

KINDS = [
    "NegPromptDetector", "KNNDetector", "MCMDetector", "LinearProbeDetector", "NegLabelDetector",
    "MahalanobisDetector", "WordsDetector", "CoOpDetector", "ScoreEnsemble",
]  # fmt: skip
NAMES = [["heart", "key", "star"], ["fish", "crown", "tree", "ladder"], ["heart", "key"], ["star", "fish"]]
WORDS = ["circle", "square", "hexagon", "cloud", "gear", "leaf", "ring", "spiral"]
_AT_ONCE = 3  # detectors whose answers are watched
_TOLD = ("score_samples", "decision_function", "predict", "predict_proba", "p_values")


@functools.cache
def _embedded(n, names, seed):
    X, y = make_scenes(n, shapes=list(names), random_state=seed)
    return CLIPImageEncoder(model="skneg-tiny").transform(X), y


@functools.cache
def _data():
    """What detectors are fitted on: embeddings, labels and class names."""
    X, y = _embedded(36, tuple(NAMES[0]), 0)
    strange = _embedded(8, tuple(NAMES[1][:2]), 1)[0]
    return [
        (X, y, None),
        (np.concatenate([strange, X]), np.array(["unknown"] * 8 + y.tolist()), None),
        (*_embedded(40, ("anchor", *NAMES[0]), 2), None),
        (X, np.searchsorted(NAMES[0], y) + 3, {3: "heart", 4: "key", 5: "star"}),
    ]


def _asked():
    return np.concatenate(
        [_embedded(36, tuple(NAMES[0]), 0)[0][:6], _embedded(8, tuple(NAMES[1][:2]), 1)[0][:4]]
    )


def build(kind):
    common = {"model": "skneg-tiny", "contamination": 0.1}
    if kind == "ScoreEnsemble":
        return skneg.ScoreEnsemble([build("MCMDetector"), build("KNNDetector")], contamination=0.1)
    if kind == "NegPromptDetector":
        recipe = PromptRecipe(positive_steps=1, negative_steps=1)
        return skneg.NegPromptDetector(recipe=recipe, words=WORDS, random_state=0, **common)
    return make_detector(kind, "", contamination=0.1)


@dataclass(eq=False)
class One:
    """A detector, and what it must say: its answers, None where it is not fitted."""

    detector: Any
    told: dict[str, Any] | None = None
    home: tuple[Any, np.ndarray] | None = None  # class names, and the scores that go with them


def answers(detector):
    told = {name: getattr(detector, name)(_asked()) for name in _TOLD}
    told = {name: (values.dtype.str, values.tobytes()) for name, values in told.items()}
    return {**told, "classes": detector.classes_.tolist(), "offset": detector.offset_}


def _wrong_calls(d, X, y, folder):
    """Calls that no state of any detector takes."""
    bad = np.where(np.arange(X.size).reshape(X.shape) == 77, np.nan, X)
    calls = [
        *(
            functools.partial(getattr(d, name), Z)
            for name in _TOLD
            for Z in (X[:, :5], bad, X[:0], None, "a", [])
        ),
        *(
            functools.partial(d.set_vocabulary, names)
            for names in ([], ["a", "a"], [" "], None, "heart", [5], {})
        ),
        lambda: d.set_vocabulary(["heart", "key"], X[:5], y[:4]),
        lambda: d.calibrate(X, y[:-1]),
        lambda: d.calibrate(None, y),
        lambda: d.calibrate(X[:2], y[:2]),
        lambda: d.calibrate(bad, y),
        lambda: d.save(folder),
        lambda: d.save(folder / "no folder" / "a.skneg"),
        lambda: d.save("a\0b"),
        lambda: type(d).load(folder / "gone.skneg"),
    ]
    if isinstance(d, skneg.ScoreEnsemble):
        return calls
    return [
        *calls,
        lambda: d.add_images(X, y[:-1]),
        lambda: d.add_images(bad, y),
        lambda: d.add_images(X, np.full(len(y), "unknown")),
        lambda: d.predict_set(X, alpha=2),
        lambda: d.calibrate_unknown(X),
        lambda: d.calibrate_unknown(X[:1], accepted=0.1),
        lambda: d.explain(bad),
        lambda: list(d.predict_stream(X, 0)),
    ]


class Life(RuleBasedStateMachine):
    """Subclasses say of which `kind` the detectors are."""

    kind: str
    fits: dict[tuple[str, int, str], dict[str, Any]] = {}  # noqa: RUF012  # of all examples, which must agree

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="skneg-fuzz-"))
        self.ones = [One(build(self.kind))]
        self.file, self.saved = self.folder / "a.skneg", None

    def teardown(self):
        shutil.rmtree(self.folder)

    @initialize(data=st.integers(0, 3))
    def begin(self, data):
        self.fit(0, data)

    @invariant()
    def all_answer_as_they_must(self):
        for one in self.ones:
            if one.told is not None:
                assert answers(one.detector) == one.told
            else:
                with pytest.raises(NotFittedError):
                    one.detector.predict(_asked())

    def one(self, number):
        return self.ones[number % len(self.ones)]

    def keep(self, one):
        self.ones = [*self.ones, one][-_AT_ONCE:]

    def change(self, one, call):
        """Whether a fitted detector took a call; where it did not, the invariant sees that nothing has."""
        if one.told is None:
            with pytest.raises(NotFittedError):
                call()
            return False
        try:
            call()
        except SknegError:
            return False
        one.told = answers(one.detector)
        check_answers(one.detector, _asked())
        return True

    def settle(self, one):
        names = getattr(one.detector, "class_names_", None)  # an ensemble has those of its members
        if names is not None:
            mapping = dict(zip(one.detector.classes_.tolist(), names, strict=True))
            one.home = mapping, one.detector.score_samples(_asked())

    @rule(number=st.integers(0, 9), data=st.integers(0, 3))
    def fit(self, number, data):
        one = self.one(number)
        X, y, names = _data()[data]
        try:
            one.detector.fit(X, y, class_names=names)
        except SknegError:  # a contamination that needs more images
            return
        one.told = answers(one.detector)
        check_answers(one.detector, _asked())
        facts = self.kind, data, repr(one.detector.get_params())
        assert self.fits.setdefault(facts, one.told) == one.told, "the same seed, and other answers"
        self.settle(one)

    @rule(number=st.integers(0, 9), which=st.integers(0, 5))
    def fit_wrong(self, number, which):
        (X, y, _), fit = _data()[0], self.one(number).detector.fit
        bad = X + np.where(np.arange(len(X)) == 7, np.nan, 0)[:, None]
        calls = [
            (X, y[:-1]),
            (bad, y),
            (X[:0], y[:0]),
            (X, y, ["heart"]),
            (X, [None] * len(y)),
            (X, y, None, [0]),
        ]
        with pytest.raises(SknegError):
            fit(*calls[which])

    @rule(number=st.integers(0, 9), names=st.sampled_from(NAMES))
    def set_vocabulary(self, number, names):
        one = self.one(number)
        if self.change(one, lambda: one.detector.set_vocabulary(names)):
            assert len(one.detector.classes_) == len(names)

    @rule(number=st.integers(0, 9))
    def set_the_vocabulary_back(self, number):
        one = self.one(number)
        if one.home is not None and self.change(one, lambda: one.detector.set_vocabulary(one.home[0])):
            assert one.detector.classes_.tolist() == list(one.home[0])
            np.testing.assert_allclose(
                one.detector.score_samples(_asked()), one.home[1], rtol=1e-4, atol=1e-5
            )

    @rule(number=st.integers(0, 9), data=st.sampled_from([None, 0, 1, 2, 3]), labelled=st.booleans())
    def calibrate(self, number, data, labelled):
        one = self.one(number)
        X, y = (None, None) if data is None else _data()[data][:2]
        before = one.told
        if self.change(one, lambda: one.detector.calibrate(X, y if labelled else None)):
            self.scores_are(before, one)

    @rule(number=st.integers(0, 9), accepted=st.sampled_from([0.2, 0.5]))
    def calibrate_unknown(self, number, accepted):
        one, before = self.one(number), self.one(number).told
        if self.kind != "ScoreEnsemble":
            strange = _embedded(8, tuple(NAMES[1][:2]), 1)[0]
            if self.change(one, lambda: one.detector.calibrate_unknown(strange, accepted=accepted)):
                self.scores_are(before, one)

    def scores_are(self, before, one):
        """A threshold changes no score; an ensemble's scores are places among those that set it."""
        if self.kind != "ScoreEnsemble":
            assert one.told["score_samples"] == before["score_samples"]
            assert one.told["predict_proba"] == before["predict_proba"]

    @rule(number=st.integers(0, 9), data=st.integers(0, 3))
    def add_images(self, number, data):
        one = self.one(number)
        X, y, _ = _data()[data]
        if self.kind != "ScoreEnsemble" and self.change(one, lambda: one.detector.add_images(X, y)):
            self.settle(one)

    @rule(number=st.integers(0, 9), contamination=st.sampled_from([0.05, 0.1, 0.2, np.float32(0.1)]))
    def set_params(self, number, contamination):
        one = self.one(number)
        one.detector.set_params(contamination=contamination)
        if self.kind == "ScoreEnsemble" and one.told is not None:  # has its threshold at once
            one.told = answers(one.detector)

    @rule(number=st.integers(0, 9))
    def set_wrong_params(self, number):
        one = self.one(number)
        right, (X, y, _) = one.detector.contamination, _data()[0]
        with pytest.raises(ValueError, match="nonsense"):
            one.detector.set_params(nonsense=1)
        one.detector.set_params(contamination=5)
        file = self.folder / "wrong.skneg"
        for call in (lambda: one.detector.fit(X, y), one.detector.calibrate, lambda: one.detector.save(file)):
            with pytest.raises((SknegError, NotFittedError)):
                call()
        assert not file.exists()
        one.detector.set_params(contamination=right)

    @rule(number=st.integers(0, 9))
    def save(self, number):
        one = self.one(number)
        if self.change(one, lambda: one.detector.save(self.file)):
            self.saved = repr(one.detector.get_params()), one.told, one.home

    @precondition(lambda self: self.saved is not None)
    @rule()
    def load(self):
        parameters, told, home = self.saved
        detector = skneg.load(self.file)
        assert repr(detector.get_params()) == parameters
        self.keep(One(detector, told, home))

    @rule(number=st.integers(0, 9), way=st.sampled_from([copy.copy, copy.deepcopy, "pickle"]))
    def copied(self, number, way):
        one = self.one(number)
        way = (lambda d: pickle.loads(pickle.dumps(d))) if way == "pickle" else way
        self.keep(One(way(one.detector), one.told, one.home))

    @rule(number=st.integers(0, 9))
    def cloned(self, number):
        one = self.one(number)
        self.keep(One(clone(one.detector)))
        if self.kind != "ScoreEnsemble":  # whose members are cloned, and so shown as not fitted
            assert repr(self.ones[-1].detector.get_params()) == repr(one.detector.get_params())

    @rule(number=st.integers(0, 9), which=st.integers(0, 10**6))
    def wrong_call(self, number, which):
        X, y, _ = _data()[0]
        calls = _wrong_calls(self.one(number).detector, X, y, self.folder)
        with pytest.raises((SknegError, NotFittedError)):
            calls[which % len(calls)]()

    @rule(number=st.integers(0, 9))
    def look(self, number):
        detector = self.one(number).detector
        repr(detector), detector._repr_html_()
        if self.one(number).told is not None and self.kind != "ScoreEnsemble":
            assert detector.summary()
