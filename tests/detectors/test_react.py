from functools import partial

import numpy as np
import pytest

from skneg import EnergyDetector, ReActDetector

from ..conftest import random_unit

pytestmark = pytest.mark.filterwarnings("ignore:labels and names agree")  # of random images


RNG = np.random.default_rng(0)


unit = partial(random_unit, RNG)


BANK, X = unit(4), unit(100)
NAMES = list("abcd")
Y = np.tile(NAMES, 25)


def fit(**parameters):
    return ReActDetector(text_bank=BANK, random_state=0, **parameters).fit(X, Y)


@pytest.mark.parametrize("percentile", [30.0, 90.0])
def test_the_score_is_the_energy_of_embeddings_clipped_from_above(percentile):
    detector = fit(clip_percentile=percentile, calibration="train", score_temperature=0.1)
    Z = X.astype(np.float64)
    clip = np.percentile(Z, percentile)
    Z = np.clip(Z, None, clip)
    assert (Z.min(axis=1) < clip).all()  # what is small stays
    expected = 0.1 * np.log(np.exp(Z @ BANK.T / 0.1).sum(axis=1))
    np.testing.assert_allclose(detector.score_samples(X), expected, atol=1e-6)


def test_images_that_set_the_threshold_do_not_set_the_clip():
    detector = fit(calibration="holdout")
    held_out = {row.tobytes() for row in detector.calibration_embeddings_}
    trained = np.array([row for row in X if row.tobytes() not in held_out])
    assert len(trained) == 80
    assert detector.clip_value_ == pytest.approx(np.percentile(trained, 90))
    assert detector.clip_value_ != pytest.approx(np.percentile(X, 90))


def test_the_clip_touches_neither_classes_nor_new_texts():
    detector = fit(clip_percentile=50.0)
    plain = EnergyDetector(text_bank=BANK).fit(X, Y)
    np.testing.assert_allclose(detector.predict_proba(X), plain.predict_proba(X), rtol=1e-5)
    learned = detector.clip_value_
    texts = unit(4)
    detector.set_vocabulary(NAMES, text_bank=texts)
    assert detector.clip_value_ == learned
    expected = 0.01 * np.log(np.exp(np.minimum(X, learned) @ texts.T.astype(np.float64) / 0.01).sum(axis=1))
    np.testing.assert_allclose(detector.score_samples(X), expected, atol=1e-6)
