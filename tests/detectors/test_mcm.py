from functools import partial

import numpy as np
import pytest

from skneg import MCMDetector

from ..conftest import random_unit

RNG = np.random.default_rng(0)


unit = partial(random_unit, RNG)


BANK, X = unit(5), unit(40)
NAMES = list("abcde")


@pytest.mark.parametrize("temperature", [0.05, 1.0, 100.0])
def test_the_score_is_the_log_of_the_largest_softmax_share(temperature):
    detector = MCMDetector(text_bank=BANK, score_temperature=temperature).fit(X, class_names=NAMES)
    masses = np.exp(X.astype(np.float64) @ BANK.T / temperature)
    expected = np.log(masses.max(axis=1) / masses.sum(axis=1))
    np.testing.assert_allclose(detector.score_samples(X), expected, atol=1e-5)


def test_cosines_are_not_scaled_by_default():
    # An image that is the text of one class, and at right angles to the two others.
    detector = MCMDetector(text_bank=np.eye(3), contamination=0.3).fit(np.eye(3), class_names=list("abc"))
    np.testing.assert_allclose(detector.score_samples(np.eye(3)), np.log(np.e / (np.e + 2)), rtol=1e-9)


def test_the_temperature_acts_on_the_score_and_not_on_the_classes():
    cold, hot = (MCMDetector(text_bank=BANK, score_temperature=t).fit(X, class_names=NAMES) for t in (0.1, 9))
    assert (cold.score_samples(X) > hot.score_samples(X)).all()
    np.testing.assert_array_equal(cold.predict_proba(X), hot.predict_proba(X))
