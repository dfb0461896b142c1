import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from skneg.errors import InputError
from skneg.metrics import aupr, auroc, detection_error, fpr_at_tpr

scores = st.lists(st.integers(-5, 5), min_size=1, max_size=30)


@given(scores, scores)
def test_auroc_is_the_share_of_ordered_pairs(known, strange):
    pairs = np.subtract.outer(known, strange)
    assert auroc(known, strange) == pytest.approx(np.mean(np.where(pairs == 0, 0.5, pairs > 0)))


@given(scores, scores, st.floats(0.05, 1))
def test_fpr_at_tpr_is_the_best_threshold_that_reaches_the_recall(known, strange, tpr):
    known, strange = np.array(known), np.array(strange)
    by_hand = min(np.mean(strange >= t) for t in known if np.mean(known >= t) >= tpr)
    assert fpr_at_tpr(known, strange, tpr) == pytest.approx(by_hand)


@given(scores, scores)
def test_positive_ood_swaps_the_sides(known, strange):
    swapped = fpr_at_tpr(-np.array(strange), -np.array(known), 0.9)
    assert fpr_at_tpr(known, strange, 0.9, positive="ood") == swapped


def test_closest_and_first_differ_where_no_recall_is_exact():
    known, strange = np.arange(1.0, 5.0), np.array([0.5, 1.5, 2.5])
    assert fpr_at_tpr(known, strange, 0.8) == pytest.approx(2 / 3)  # recall 1
    assert fpr_at_tpr(known, strange, 0.8, method="closest") == pytest.approx(1 / 3)  # recall .75


@given(scores, scores)
def test_ties_count_as_in_scikit_learn(known, strange):
    is_id, values = np.repeat([1, 0], [len(known), len(strange)]), np.array(known + strange)
    assert auroc(known, strange) == pytest.approx(roc_auc_score(is_id, values))
    assert aupr(known, strange) == pytest.approx(average_precision_score(is_id, values))
    assert aupr(known, strange, positive="ood") == pytest.approx(average_precision_score(1 - is_id, -values))


@given(scores, scores)
def test_aupr_is_the_precision_met_at_each_positive(known, strange):
    known, strange = np.array(known), np.array(strange)
    by_hand = np.mean([np.sum(known >= t) / (np.sum(known >= t) + np.sum(strange >= t)) for t in known])
    assert aupr(known, strange) == pytest.approx(by_hand)
    assert aupr(-strange, -known, positive="ood") == pytest.approx(by_hand)


@given(scores, scores)
def test_detection_error_is_that_of_the_best_threshold(known, strange):
    known, strange = np.array(known), np.array(strange)
    by_hand = min((np.mean(known < t) + np.mean(strange >= t)) / 2 for t in [*known, *strange, np.inf])
    assert detection_error(known, strange) == pytest.approx(by_hand)


def test_infinite_scores_rank():
    assert auroc([0.0, 1.0], [-np.inf, -np.inf]) == 1.0


@pytest.mark.parametrize(
    ("known", "strange", "named"),
    [([], [1.0], "scores_id"), ([1.0], [], "scores_ood"), ([1.0], [0.0, np.nan], "scores_ood holds NaN")],
)
def test_one_sided_or_nan_input_is_refused(known, strange, named):
    for metric in (auroc, aupr, detection_error, fpr_at_tpr):
        with pytest.raises(InputError, match=named):
            metric(known, strange)


@pytest.mark.parametrize("bad", [{"tpr": 0}, {"tpr": 1.1}, {"positive": "1"}, {"method": "last"}])
def test_bad_parameters_are_named(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        fpr_at_tpr([1.0], [0.0], **bad)


@pytest.mark.parametrize("scores", [["a", "b"], [[1.0, 2.0]], 3.0])
def test_what_is_no_vector_of_numbers_is_refused(scores):
    with pytest.raises(InputError, match="scores_ood must be"):
        auroc([1.0], scores)


def test_aupr_names_a_bad_side():
    with pytest.raises(InputError, match="positive"):
        aupr([1.0], [0.0], positive="in")
