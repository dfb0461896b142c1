"""The confusion matrix with the answer "unknown"."""

import numpy as np
import pytest

from skneg.errors import InputError
from skneg.plotting import ConfusionDisplay


def test_has_a_column_for_unknown_and_a_row_for_each_ood_set(detector, embedded, strange):
    X, y = embedded
    display = ConfusionDisplay.from_estimator(detector, X, y, ood={"strange": strange})
    frame, answers = display.frame(), detector.predict(X)
    assert list(frame) == [*detector.classes_, "unknown"]
    for label in np.unique(y):
        assert frame.loc[label, label] == np.sum((y == label) & (answers == label))
        assert frame.loc[label, "unknown"] == np.sum((y == label) & (answers == "unknown"))
    assert frame.loc["strange"].sum() == len(strange)
    assert frame.loc["strange", "unknown"] == np.sum(detector.predict(strange) == "unknown")


def test_rows_labelled_unknown_are_a_set(detector, embedded, strange):
    labels = [*embedded[1], *["unknown"] * len(strange)]
    display = ConfusionDisplay.from_estimator(detector, np.concatenate([embedded[0], strange]), labels)
    assert display.rows[-1] == "OOD"
    assert display.counts[-1].sum() == len(strange)


def test_classes_without_images_have_a_column_but_no_row(detector, embedded):
    X, y = embedded
    display = ConfusionDisplay.from_estimator(detector, X[y == "star"], y[y == "star"])
    assert display.rows == ["star"]
    assert len(display.columns) == len(detector.classes_) + 1


def test_numbers_are_taken_as_answers():
    display = ConfusionDisplay.from_predictions([0, 0, 7], [0, -1, 0], {"noise": [-1, 7]})
    assert display.columns == ["0", "7", "-1"]
    assert display.counts.tolist() == [[1, 0, 1], [1, 0, 0], [0, 1, 1]]


def test_without_an_unknown_label_there_is_no_such_column():
    display = ConfusionDisplay.from_predictions(["a", "b"], ["b", "b"], unknown_label=None)
    assert display.columns == ["a", "b"]


def test_what_does_not_go_together_is_refused():
    with pytest.raises(InputError, match="lengths"):
        ConfusionDisplay.from_predictions(["a"], ["a", "b"])
    with pytest.raises(InputError, match="1 rows and 2 columns"):
        ConfusionDisplay([[1, 2, 3]], ["a"], ["a", "b"])


def test_many_classes_are_drawn_without_numbers():
    names = [f"class {number}" for number in range(40)]
    display = ConfusionDisplay(np.eye(40, dtype=int), names, names)
    assert display.plot().ax_.texts[:] == []
