from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from skneg import LinearProbeDetector, ResidualDetector, ViMDetector

from ..conftest import random_unit

unit = partial(random_unit, np.random.default_rng(0))
TRAIN, X = unit(90), unit(20)
Y = np.tile(list("abc"), 30)


def test_the_score_of_small_numbers_is_that_computed_by_hand():
    # Logits log 3 and 0 of the point (log 3, 4), whose residual is 4: log(3 + 1) - 0.5 * 4.
    state = SimpleNamespace(
        coef_=np.array([[1.0, 0.0], [0.0, 0.0]]),
        intercept_=np.zeros(2),
        origin_=np.zeros(2),
        residual_space_=np.array([[0.0], [1.0]]),
        alpha_=0.5,
    )
    score = ViMDetector()._score(state, np.array([[np.log(3), 4.0]]))
    np.testing.assert_allclose(score, [np.log(4) - 2])


@pytest.mark.parametrize("n_components", [None, 3])
def test_the_virtual_logit_is_on_average_as_large_as_the_largest(n_components):
    parameters = {"n_components": n_components, "calibration": "train", "random_state": 0}
    detector, alone = (kind(**parameters).fit(TRAIN, Y) for kind in (ViMDetector, ResidualDetector))
    probe = LinearProbeDetector(calibration="train", random_state=0, score_func="max_logit").fit(TRAIN, Y)
    largest = probe.score_samples(TRAIN).mean()
    assert detector.alpha_ == pytest.approx(largest / -alone.score_samples(TRAIN).mean(), rel=1e-4)
    expected = probe.set_params(score_func="energy").score_samples(X)
    expected += detector.alpha_ * alone.score_samples(X)
    np.testing.assert_allclose(detector.score_samples(X), expected, rtol=1e-4, atol=1e-4)


def test_the_factor_follows_the_vocabulary():
    detector = ViMDetector(calibration="train", random_state=0).fit(TRAIN, Y)
    alone = ViMDetector(calibration="train", random_state=0).fit(TRAIN[Y != "b"], Y[Y != "b"])
    assert detector.set_vocabulary(["a", "c"]).alpha_ == pytest.approx(alone.alpha_)
