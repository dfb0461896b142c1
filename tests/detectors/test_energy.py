from functools import partial

import numpy as np
import pytest

from skneg import EnergyDetector

from ..conftest import random_unit

RNG = np.random.default_rng(0)


unit = partial(random_unit, RNG)


BANK, X = unit(5), unit(40)
NAMES = list("abcde")
COSINES = X.astype(np.float64) @ BANK.T


def scores_at(temperature):
    detector = EnergyDetector(text_bank=BANK, score_temperature=temperature)
    return detector.fit(X, class_names=NAMES).score_samples(X)


@pytest.mark.parametrize("temperature", [0.01, 0.2, 1.0])
def test_the_score_is_the_temperature_times_the_log_of_the_summed_mass(temperature):
    expected = temperature * np.log(np.exp(COSINES / temperature).sum(axis=1))
    np.testing.assert_allclose(scores_at(temperature), expected, atol=1e-6)


def test_a_low_temperature_is_the_default_and_sees_the_largest_cosine():
    default = EnergyDetector(text_bank=BANK).fit(X, class_names=NAMES).score_samples(X)
    np.testing.assert_array_equal(default, scores_at(0.01))
    excess = default - COSINES.max(axis=1)
    assert (excess > -1e-6).all()
    assert (excess < 0.01 * np.log(5)).all()


def test_a_high_temperature_sees_the_mean_cosine():
    expected = COSINES.mean(axis=1) + 100 * np.log(5)
    np.testing.assert_allclose(scores_at(100.0), expected, atol=2e-3)
    assert np.ptp(expected) > 0.1
    assert (np.argsort(scores_at(100.0)) != np.argsort(scores_at(0.01))).any()
