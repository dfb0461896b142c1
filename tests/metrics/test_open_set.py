import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skneg.errors import InputError, InputTypeError
from skneg.metrics import auroc, id_accuracy, open_set_accuracy, oscr

answered = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=20)
scores = st.lists(st.integers(-3, 3), min_size=1, max_size=20)


@given(answered, scores)
def test_oscr_is_the_area_under_ccr_over_fpr(known, strange):
    values, correct = (np.array(column) for column in zip(*known, strict=True))
    strange = np.array(strange)
    thresholds = [np.inf, *sorted({*values.tolist(), *strange.tolist()}, reverse=True)]
    ccr = [np.mean((values >= t) & correct) for t in thresholds]
    fpr = [np.mean(strange >= t) for t in thresholds]
    assert oscr(values, strange, correct) == pytest.approx(np.trapezoid(ccr, fpr))


@given(scores, scores)
def test_oscr_is_auroc_where_every_class_is_right(known, strange):
    assert oscr(known, strange, np.ones(len(known), bool)) == pytest.approx(auroc(known, strange))


def test_oscr_refuses_truth_values_that_are_none_or_too_few():
    with pytest.raises(InputTypeError, match="correct must hold truth values"):
        oscr([1.0, 2.0], [0.0], ["cat", "dog"])
    with pytest.raises(InputError, match="scores_id and correct have different shapes"):
        oscr([1.0, 2.0], [0.0], [True])
    with pytest.raises(InputError, match="scores_ood holds NaN"):
        oscr([1.0], [np.nan], [True])


def test_open_set_accuracy_counts_rejections_as_answers():
    true = ["cat", "dog", "dog", "unknown", "unknown"]
    assert open_set_accuracy(true, ["cat", "cat", "unknown", "unknown", "cat"]) == pytest.approx(2 / 5)
    assert open_set_accuracy([0, 1, -1], np.array([0, -1, -1])) == pytest.approx(2 / 3)
    assert open_set_accuracy([0, 1, 9], [0, 1, -1], unknown_label=9) == pytest.approx(2 / 3)


def test_id_accuracy_leaves_unknown_rows_out_and_counts_rejections_as_wrong():
    assert id_accuracy(["cat", "dog", "unknown"], ["cat", "unknown", "cat"]) == 0.5
    assert id_accuracy([3, 4], [3, 4]) == 1.0


@pytest.mark.parametrize(
    ("true", "pred", "named"),
    [
        (["cat"], ["cat"], "y_true holds no OOD image"),
        (["unknown"], ["cat"], "y_true holds no ID image"),
        (["cat", "unknown"], ["cat"], "y_true and y_pred have different lengths: 2 and 1"),
        ([], [], "y_true must be a non-empty"),
        ([0, -1], [[0, 1]], "y_pred must be a non-empty 1-D"),
        ([0, -1], [0.0, np.nan], "y_pred .* NaN"),
    ],
)
def test_labels_that_give_no_number_are_refused(true, pred, named):
    with pytest.raises(InputError, match=named):
        open_set_accuracy(true, pred)


def test_labels_of_two_kinds_are_refused():
    with pytest.raises(InputTypeError, match="one kind"):
        open_set_accuracy([0, -1], ["cat", "unknown"])
    with pytest.raises(InputTypeError, match="unknown_label"):
        open_set_accuracy([0, -1], [0, -1], unknown_label="unknown")
    with pytest.raises(InputError, match="unknown_label=None"):
        id_accuracy([0, -1], [0, -1], unknown_label=None)
