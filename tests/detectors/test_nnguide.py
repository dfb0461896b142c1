from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from skneg import LinearProbeDetector, NNGuideDetector
from skneg.errors import InputError

from ..conftest import random_unit

unit = partial(random_unit, np.random.default_rng(0))
TRAIN, X = unit(90), unit(20)
Y = np.tile(list("abc"), 30)


def fit(**parameters):
    return NNGuideDetector(calibration="train", random_state=0, **parameters).fit(TRAIN, Y)


def test_the_score_of_small_numbers_is_that_computed_by_hand():
    # Products with the neighbours: 1 * 2, 0 * 9, .6 * 5; the mean of the two largest is 2.5. Two logits of 0.
    state = SimpleNamespace(
        coef_=np.zeros((2, 2)),
        intercept_=np.zeros(2),
        neighbors_=np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]),
        confidences_=np.array([2.0, 9.0, 5.0]),
    )
    score = NNGuideDetector(n_neighbors=2)._score(state, np.array([[1.0, 0.0]]))
    np.testing.assert_allclose(score, [2.5 * np.log(2)])


@pytest.mark.parametrize("k", [1, 3, 90, 1000])
def test_scores_are_those_of_the_formula(k):
    parameters = {"score_func": "energy", "calibration": "train", "random_state": 0}
    energies = LinearProbeDetector(**parameters).fit(TRAIN, Y)
    weighted = X.astype(float) @ TRAIN.T * energies.score_samples(TRAIN)
    guidance = np.sort(weighted, axis=1)[:, -k:].mean(axis=1)
    expected = guidance * energies.score_samples(X)
    np.testing.assert_allclose(fit(n_neighbors=k).score_samples(X), expected, rtol=1e-4, atol=1e-5)


def test_a_dropped_class_guides_no_more():
    detector = fit().set_vocabulary(["a", "c"])
    assert len(detector.confidences_) == 60
    np.testing.assert_allclose(detector.neighbors_, TRAIN[Y != "b"], atol=1e-6)


def test_no_neighbours_are_refused():
    with pytest.raises(InputError, match="n_neighbors"):
        fit(n_neighbors=0)
