import numpy as np
import pytest
from scipy.stats import kstest

from skneg.errors import InputError
from skneg.monitoring import Martingale


def test_p_values_by_hand():
    martingale = Martingale([1.0, 2.0, 3.0], random_state=0)
    draws = 1 - np.random.RandomState(0).random_sample(3)
    p_values, _ = martingale.update([2.5, 0.0, 2.5])
    # Smaller ones, and a part of the step of the score itself and those that equal it.
    np.testing.assert_allclose(p_values, [(2 + draws[0]) / 4, draws[1] / 5, (3 + 2 * draws[2]) / 6])


def test_evidence_is_the_money_of_all_bettors():
    martingale = Martingale(np.arange(9.0), random_state=0)
    (p, _), evidence = martingale.update([-1.0, 100.0])
    bets = [1.0, *(1 - s + s * e * p ** (e - 1) for s in (0.01, 0.03, 0.1, 0.3, 1) for e in (0.1, 0.3))]
    assert evidence[0] == pytest.approx(np.log(np.mean(bets)))
    assert evidence[1] < evidence[0]
    assert martingale.log_evidence == evidence[1]


def test_p_values_of_one_kind_of_scores_are_uniform_and_independent():
    rng = np.random.default_rng(0)
    p_values, _ = Martingale(rng.normal(size=50)).update(rng.normal(size=5000))
    assert kstest(p_values, "uniform").pvalue > 0.01
    assert abs(np.corrcoef(p_values[1:], p_values[:-1])[0, 1]) < 0.05
    assert (p_values > 0).all()
    # Equal scores too.
    p_values, _ = Martingale(rng.integers(3, size=50)).update(rng.integers(3, size=5000))
    assert kstest(p_values, "uniform").pvalue > 0.01


def test_false_alarms_are_as_rare_as_promised():
    """Whenever one looks: of 400 streams at most a tenth may ever reach 10."""
    rng = np.random.default_rng(1)
    highest = [
        Martingale(rng.normal(size=60), seed).update(rng.normal(size=300))[1].max() for seed in range(400)
    ]
    assert np.mean(np.array(highest) >= np.log(10)) <= 0.1


@pytest.mark.parametrize("late", [0, 2000])
def test_a_change_is_found_whenever_it_comes(late):
    rng = np.random.default_rng(2)
    martingale = Martingale(rng.normal(size=500))
    martingale.update(rng.normal(size=late))
    _, evidence = martingale.update(rng.normal(size=200) - 2)
    assert evidence.max() > np.log(1000)


def test_pieces_make_no_difference():
    scores = np.random.default_rng(3).normal(size=100)
    whole, pieces = Martingale(scores[:20]), Martingale(scores[:20])
    expected = whole.update(scores[20:])
    found = [pieces.update(part) for part in np.split(scores[20:], [0, 1, 30, 31])]
    for parts, values in zip(zip(*found, strict=True), expected, strict=True):
        np.testing.assert_array_equal(np.concatenate(parts), values)


def test_what_is_no_score_is_refused_and_changes_nothing():
    martingale = Martingale([0.0, 1.0])
    for bad in ([np.nan], [[1.0]], "a", None):
        with pytest.raises(InputError, match="scores"):
            martingale.update(bad)
    assert martingale.log_evidence == 0
    with pytest.raises(InputError, match="reference"):
        Martingale([])


def test_the_onset_of_a_change_is_where_a_bettor_begins_to_win():
    before, after = np.linspace(0.5, 0.99, 47), np.full(8, 1e-3)
    assert Martingale([0.0]).onset(np.r_[before, after]) == 47
    assert Martingale([0.0]).onset(after) == 0
