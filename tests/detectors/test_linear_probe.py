from functools import partial

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from skneg import LinearProbeDetector

from ..conftest import random_unit

RNG = np.random.default_rng(0)


unit = partial(random_unit, RNG)


TRAIN, X = unit(90), unit(30)
Y3, Y2 = np.tile(list("abc"), 30), np.tile(list("ab"), 45)


def fit(y=Y3, **parameters):
    return LinearProbeDetector(calibration="train", random_state=0, **parameters).fit(TRAIN, y)


def logits_of(Z, y=Y3):
    probe = LogisticRegression(C=100.0, max_iter=1000).fit(TRAIN, y)
    return np.asarray(Z, dtype=np.float64) @ probe.coef_.T + probe.intercept_


def log_mass(z, temperature):
    return np.log(np.exp(z / temperature).sum(axis=1))


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_scores_are_those_of_the_logits_of_a_logistic_regression(temperature):
    z, t = logits_of(X), temperature
    clipped = logits_of(np.minimum(X, np.percentile(TRAIN, 60)))
    expected = {
        "msp": z.max(axis=1) / t - log_mass(z, t),
        "max_logit": z.max(axis=1),
        "energy": t * log_mass(z, t),
        "react": t * log_mass(clipped, t),
    }
    for name, scores in expected.items():
        detector = fit(score_func=name, score_temperature=t, clip_percentile=60.0)
        np.testing.assert_allclose(detector.score_samples(X), scores, rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("y", [Y2, Y3], ids=["two classes", "three classes"])
def test_the_posterior_is_that_of_scikit_learn(y):
    expected = LogisticRegression(C=100.0, max_iter=1000).fit(TRAIN, y).predict_proba(X)
    np.testing.assert_allclose(fit(y).predict_proba(X), expected, atol=1e-5)


def test_two_classes_split_the_logit_between_them():
    difference = logits_of(X, Y2)[:, 0]
    scores = fit(Y2, score_func="max_logit").score_samples(X)
    np.testing.assert_allclose(scores, np.abs(difference) / 2, rtol=1e-4, atol=1e-4)


def test_c_is_the_inverse_of_the_penalty():
    norms = [np.linalg.norm(fit(C=C).coef_) for C in (0.01, 1.0, 100.0)]
    assert norms[0] < 0.1 * norms[1] < 0.1 * norms[2]


def test_the_score_may_be_chosen_after_fitting():
    detector = fit(score_func="msp")
    detector.set_params(score_func="energy").calibrate()
    other = fit(score_func="energy")
    np.testing.assert_array_equal(detector.score_samples(X), other.score_samples(X))
    assert detector.offset_ == other.offset_
