import numpy as np
import pytest

from skneg.errors import InputError
from skneg.threshold import (
    Calibrator,
    conformal_offset,
    offset_by_unknown,
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


class TestUnknown:
    def test_the_share_of_accepted_unknown_images_holds_on_average(self):
        rng, shares = np.random.default_rng(0), []
        for _ in range(2000):
            offset = offset_by_unknown(np.array([]), rng.normal(size=29), accepted=0.1)
            shares.append((rng.normal(size=50) >= offset).mean())
        assert 0.1 - 1 / 30 < np.mean(shares) < 0.1 + 0.005

    @pytest.mark.parametrize("cost", [0.01, 0.5, 2.0, 100.0])
    def test_the_cost_is_the_smallest_of_all_thresholds(self, cost):
        rng = np.random.default_rng(1)
        known, unknown = rng.normal(1, 1, 40), rng.normal(-1, 1, 30)

        def price(t):
            return (known < t).mean() + cost * (unknown >= t).mean()

        found = offset_by_unknown(known, unknown, cost=cost)
        every = np.concatenate([known, unknown, np.nextafter(unknown, np.inf), [-9, 9]])
        assert price(found) == pytest.approx(min(map(price, every)))

    @pytest.mark.parametrize(
        ("choice", "message"),
        [
            ({}, "either accepted"),
            ({"accepted": 0.1, "cost": 1}, "either accepted"),
            ({"accepted": 0.05}, "5 unknown images are too few for accepted=0.05: at least 19"),
            ({"accepted": 2}, "accepted"),
            ({"cost": -1}, "cost"),
        ],
    )
    def test_what_cannot_be_chosen_is_refused(self, choice, message):
        with pytest.raises(InputError, match=message):
            offset_by_unknown(np.arange(5.0), np.arange(5.0), **choice)


def test_shares_at_the_edge_of_floating_point():
    assert conformal_offset([1.0, 2.0, 3.0], 1 - 1e-16) == 3.0
    assert smallest_calibration_set(5e-324) >= 2**61
    with pytest.raises(InputError, match="too few"):
        conformal_offset([1.0, 2.0, 3.0], 5e-324)


def test_scores_that_are_not_finite_set_no_threshold():
    with pytest.raises(InputError, match="NaN or infinite"):
        Calibrator.of(np.eye(3), None, np.array([0.0, np.nan, 1.0]), 0.5, "the threshold")
