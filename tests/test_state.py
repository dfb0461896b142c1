"""One immutable state: predictions read it once."""

import sys
import threading
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from skneg._state import FittedState
from skneg.errors import PersistenceError, VocabularyError

from .test_base import BANK, fitted


def test_it_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        fitted()._state.unknown_label = "other"


@pytest.mark.parametrize("name", ["offset_", "classes_", "text_bank_"])
def test_fitted_attributes_cannot_be_set_by_hand(name):
    detector = fitted()
    with pytest.raises(AttributeError, match=f"{name} comes from fit"):
        setattr(detector, name, 0.0)


def test_a_prediction_during_a_change_of_vocabulary_gives_old_or_new_answers_whole():
    detector, X = fitted(), BANK[np.arange(30) % 3] + np.linspace(0, 0.3, 240).reshape(30, 8)
    more = np.concatenate([BANK[[2, 0, 1]], BANK[:1] + BANK[1:2]])
    choices = ((["a", "b", "c"], BANK), (["c", "a", "b", "d"], more))
    expected = []
    for names, bank in choices:
        moved = fitted().set_vocabulary(names, text_bank=bank)
        expected.append((moved.decision_function(X).tolist(), moved.predict(X).tolist()))
    assert expected[0][0] != expected[1][0]
    stop, interval = threading.Event(), sys.getswitchinterval()

    def change():
        while not stop.is_set():
            for names, bank in choices:
                detector.set_vocabulary(names, text_bank=bank)

    thread = threading.Thread(target=change)
    sys.setswitchinterval(1e-5)
    try:
        thread.start()
        seen = [(detector.decision_function(X).tolist(), detector.predict(X).tolist()) for _ in range(300)]
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
    for which in (0, 1):
        allowed = [answers[which] for answers in expected]
        assert all(answers[which] in allowed for answers in seen)


def test_values_and_back():
    state = fitted()._state
    again = FittedState.from_values(state.as_values(), {"name": "m"})
    for name in ("classes_", "class_names_", "offset_", "calibration_names_", "text_bank_", "unknown_label_"):
        one, other = getattr(state, name), getattr(again, name)
        assert one is other or np.array_equal(one, other)
    assert again.backbone_ == "m"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("offset_", np.nan, "offset_, expected a finite number"),
        ("class_names_", ["a", "b"], "3 classes_, but 2 names"),
        ("calibration_scores_", np.array([2.0, 1.0]), "a sorted vector"),
        ("calibration_names_", ["a"], "100 calibration images, but 1 names"),
        ("unknown_label_", -1, "unknown_label_ -1"),
        ("extra_", 1, "extra_"),
    ],
)
def test_parts_that_do_not_fit_together_are_named(name, value, message):
    values = {**fitted()._state.as_values(), name: value}
    with pytest.raises(PersistenceError, match=message):
        FittedState.from_values(values, None)


def test_a_known_class_cannot_be_the_unknown_label():
    with pytest.raises(VocabularyError, match="'b' is also the label"):
        replace(fitted()._state, unknown_label="b")
