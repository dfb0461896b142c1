from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from skneg import GENDetector, LinearProbeDetector
from skneg.errors import InputError

from ..conftest import random_unit

unit = partial(random_unit, np.random.default_rng(0))
TRAIN, X = unit(90), unit(20)
Y = np.tile(list("abcdef"), 15)


def of_logits(logits, **parameters):
    """Scores of rows of logits."""
    k = len(logits[0])
    state = SimpleNamespace(coef_=np.eye(k), intercept_=np.zeros(k))
    return GENDetector(**parameters)._score(state, np.array(logits, dtype=float))


def test_the_score_of_small_numbers_is_that_computed_by_hand():
    # Probabilities 1/2, 1/4, 1/4: the roots of 1/4, 3/16 and 3/16.
    logits = np.log([[2.0, 1.0, 1.0]])
    expected = 0.5 + 2 * np.sqrt(3) / 4
    np.testing.assert_allclose(of_logits(logits, gamma=0.5), [-expected])
    np.testing.assert_allclose(of_logits(logits, gamma=0.5, top_m=2), [-(0.5 + np.sqrt(3) / 4)])
    np.testing.assert_allclose(of_logits(logits, gamma=0.5, top_m=1), [-0.5])


def test_images_that_the_classifier_is_sure_of_are_told_apart():
    # 1 - p is 0 in float64 for all of them.
    sure = of_logits([[50.0, 0, 0], [60.0, 0, 0], [70.0, 0, 0]], top_m=1)
    assert (np.diff(sure) > 0).all()
    np.testing.assert_allclose(sure[0], -((2 * np.exp(-50)) ** 0.1), rtol=1e-6)


@pytest.mark.parametrize("top_m", [2, 100])
def test_scores_are_those_of_the_formula(top_m):
    probe = LinearProbeDetector(calibration="train", random_state=0).fit(TRAIN, Y)
    p = np.sort(probe.predict_proba(X), axis=1)[:, -top_m:]
    expected = -((p * (1 - p)) ** 0.3).sum(axis=1)
    detector = GENDetector(gamma=0.3, top_m=top_m, calibration="train", random_state=0).fit(TRAIN, Y)
    np.testing.assert_allclose(detector.score_samples(X), expected, rtol=1e-6)


@pytest.mark.parametrize("wrong", [{"gamma": 0}, {"gamma": 1.5}, {"top_m": 0}, {"top_m": 2.5}])
def test_what_is_no_entropy_is_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        GENDetector(**wrong).fit(TRAIN, Y)
