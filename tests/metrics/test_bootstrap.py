"""Metrics of counts, and draws of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from skneg.metrics._bootstrap import METRICS, Counts, bootstrap
from skneg.metrics._report import RANKING_METRICS

counts = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12)


@given(counts.filter(lambda pairs: all(sum(side) for side in zip(*pairs, strict=True))))
def test_metrics_of_counts_are_those_of_the_repeated_scores(pairs):
    known, strange = np.array(pairs).T
    values = -np.arange(len(pairs))
    assert METRICS.keys() == RANKING_METRICS.keys()
    for name, metric in METRICS.items():
        expected = RANKING_METRICS[name](np.repeat(values, known), np.repeat(values, strange))
        assert metric(Counts(known, strange)) == pytest.approx(expected), name


def test_draws_are_metrics_of_resampled_scores(sets):
    known, strange = sets
    draws = bootstrap(known, strange, ["auroc", "aupr_out"], 3, np.random.RandomState(5))
    state = np.random.RandomState(5)
    for draw in draws:
        some = known[state.randint(len(known), size=len(known))]
        for row, scores in zip(draw, strange.values(), strict=True):
            others = scores[state.randint(len(scores), size=len(scores))]
            is_id, both = np.repeat([1, 0], [len(some), len(others)]), np.concatenate([some, others])
            expected = [roc_auc_score(is_id, both), average_precision_score(1 - is_id, -both)]
            np.testing.assert_allclose(row, expected)


def test_all_sets_of_a_draw_meet_the_same_known_images():
    rng = np.random.default_rng(0)
    # A single unknown score, so that only the known side varies.
    known, strange = rng.normal(1, 1, 30), np.array([0.3])
    draws = bootstrap(known, {"a": strange, "b": strange}, ["auroc"], 20, np.random.RandomState(0))
    assert draws.shape == (20, 2, 1)
    np.testing.assert_array_equal(draws[:, 0], draws[:, 1])
    assert len(np.unique(draws)) > 5
