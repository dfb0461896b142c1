"""The display of the loss."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from skneg import CoOpDetector, MCMDetector
from skneg.errors import InputError, InputTypeError
from skneg.plotting import TrainingCurveDisplay
from skneg.prompts import CoOpRecipe


def test_every_term_of_every_step_is_drawn_and_handed_back(detector):
    display = TrainingCurveDisplay.from_estimator(detector)
    history = detector.history_
    assert set(display.lines_) == set(history) == set(display.axes_)
    for name, line in display.lines_.items():
        np.testing.assert_array_equal(line.get_ydata(), history[name])
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, len(history[name]) + 1))
    frame = display.frame()
    for (stage, term), rows in frame.groupby(["stage", "term"]):
        np.testing.assert_array_equal(rows["value"], history[f"{stage}/{term}"])
    assert len(frame) == sum(map(len, history.values()))


def test_other_prompt_learners_are_drawn_too(embedded):
    detector = CoOpDetector(model="skneg-tiny", recipe=CoOpRecipe(n_epochs=1, n_ctx=4), random_state=0).fit(
        *embedded
    )
    assert list(TrainingCurveDisplay.from_estimator(detector).axes_) == ["positive/cross_entropy"]


def test_detectors_that_train_nothing_are_refused(embedded):
    with pytest.raises(InputTypeError, match=r"history_, which MCMDetector lacks.*learn prompts"):
        TrainingCurveDisplay.from_estimator(MCMDetector(model="skneg-tiny").fit(*embedded))


def test_a_history_without_stages_or_of_one_step():
    display = TrainingCurveDisplay.from_predictions({"fit": [3.0, 2.0], "pull": [1.0]})
    assert list(display.axes_) == ["fit", "pull"]
    assert display.lines_["pull"].get_marker() == "o"


def test_what_is_no_history_is_refused():
    with pytest.raises(InputError, match="no step"):
        TrainingCurveDisplay.from_predictions({"positive/total": []})
    with pytest.raises(InputError, match="1-D"):
        TrainingCurveDisplay.from_predictions({"a": [[1.0]]})
    with pytest.raises(InputError, match="subplots"):
        TrainingCurveDisplay.from_predictions({"a": [1.0]}, ax=plt.figure().add_axes((0, 0, 1, 1)))
