import numpy as np
import pytest

from skneg.errors import InputError
from skneg.threshold import (
    conformal_offset,
    p_values,
    relative_ranks,
    smallest_calibration_set,
    split_holdout,
)


@pytest.mark.parametrize(("n", "alpha"), [(20, 0.05), (100, 0.05), (100, 0.01), (37, 0.1)])
def test_false_alarm_rate_is_at_most_alpha_on_average(n, alpha):
    draws = np.random.default_rng(0).normal(size=(2000, n + 200))
    offsets = np.array([conformal_offset(draw[:n], alpha) for draw in draws])
    rates = (draws[:, n:] < offsets[:, None]).mean(axis=1)
    expected = np.floor(alpha * (n + 1) + 1e-9) / (n + 1)
    assert expected <= alpha + 1e-9
    assert abs(rates.mean() - expected) < 3 * rates.std() / np.sqrt(len(rates))


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.1, 0.3])
def test_too_few_images_are_refused(alpha):
    n = smallest_calibration_set(alpha)
    assert np.isfinite(conformal_offset(np.arange(n), alpha))
    with pytest.raises(InputError, match=f"at least {n} are needed"):
        conformal_offset(np.arange(n - 1), alpha)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.99])
def test_holdout_leaves_every_class_a_training_row(fraction):
    targets = np.repeat([0, 1, 2], [1, 2, 30])
    train, held_out = split_holdout(targets, fraction, np.random.RandomState(0))
    assert set(targets[train]) == {0, 1, 2}
    assert sorted([*train, *held_out]) == list(range(33))
    assert len(held_out) == min(30, round(33 * fraction))


@pytest.mark.parametrize("ties", [False, True])
def test_p_values_exceed_no_level_too_often(ties):
    draws = np.random.default_rng(1).normal(size=(2000, 19 + 50))
    draws = np.round(draws, 1) if ties else draws
    found = np.array([p_values(draw[19:], np.sort(draw[:19])) for draw in draws])
    for level in (0.05, 0.1, 0.25, 0.5, 0.95):
        rates = (found <= level + 1e-9).mean(axis=1)
        assert rates.mean() <= level + 3 * rates.std() / np.sqrt(len(rates))
        assert ties or rates.mean() >= level - 3 * rates.std() / np.sqrt(len(rates))


@pytest.mark.parametrize(("n", "alpha"), [(19, 0.05), (40, 0.05), (99, 0.01), (39, 0.1), (20, 0.3)])
def test_p_values_reject_where_the_threshold_does(n, alpha):
    rng = np.random.default_rng(2)
    reference = np.sort(np.round(rng.normal(size=n), 1))
    scores = np.concatenate([reference, np.round(rng.normal(size=500), 1)])
    rejected = scores < conformal_offset(reference, alpha)
    np.testing.assert_array_equal(p_values(scores, reference) <= alpha + 1e-9, rejected)


def test_relative_ranks_lose_no_order():
    scores = np.sort(np.random.default_rng(3).normal(scale=3, size=200))
    ranks = relative_ranks(scores, np.sort(np.random.default_rng(4).normal(size=30)))
    assert (np.diff(ranks) > 0).all()
    assert 0 < ranks[0] < ranks[-1] < 1
