from functools import partial

import numpy as np

from skneg import MCMDetector, MSPDetector

from ..conftest import random_unit

RNG = np.random.default_rng(0)


unit = partial(random_unit, RNG)


BANK, X = unit(5), unit(40)
NAMES = list("abcde")


def test_the_score_is_the_log_share_at_the_temperature_of_clip():
    detector = MSPDetector(text_bank=BANK).fit(X, class_names=NAMES)
    masses = np.exp(X.astype(np.float64) @ BANK.T / 0.01)
    expected = np.log(masses.max(axis=1) / masses.sum(axis=1))
    np.testing.assert_allclose(detector.score_samples(X), expected, atol=1e-4)
    # The posterior is at CLIP's temperature too, so this is the probability of the predicted class.
    largest = detector.predict_proba(X).max(axis=1)
    np.testing.assert_allclose(np.exp(detector.score_samples(X)), largest, rtol=1e-9)


def test_at_temperature_one_it_is_mcm():
    msp = MSPDetector(text_bank=BANK, score_temperature=1).fit(X, class_names=NAMES)
    mcm = MCMDetector(text_bank=BANK).fit(X, class_names=NAMES)
    np.testing.assert_array_equal(msp.score_samples(X), mcm.score_samples(X))
    assert msp.offset_ == mcm.offset_


def test_sure_images_keep_their_order():
    # All these probabilities are 1 in float64: only their logarithms differ.
    angles = np.linspace(0, np.pi / 8, 30)
    Z = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    scores = MSPDetector(text_bank=np.eye(2)).fit(Z, class_names=["a", "b"]).score_samples(Z)
    assert (np.exp(scores) == 1).all()
    assert (np.diff(scores) < 0).all()
