import numpy as np
import pytest

from skneg.errors import InputError
from skneg.threshold import conformal_offset, smallest_calibration_set, split_holdout


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
