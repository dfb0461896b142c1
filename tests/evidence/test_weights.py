"""Weights: by hand, and by finite differences."""

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from skneg.evidence import _weights as module
from skneg.evidence import information, posterior_weights, separation


class TestWeights:
    def test_information_is_the_share_of_the_entropy_at_the_best_temperature(self):
        y = np.array([0, 0, 0, 1])
        entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
        prior = np.log(np.tile([0.75, 0.25], (4, 1)))
        assert information(prior, y) == pytest.approx(0, abs=1e-6)
        logits = np.array([[2.0, 0], [2, 0], [2, 0], [1, 0]])  # one image on the wrong side
        losses = [
            -log_softmax(t * logits, axis=1)[np.arange(4), y].mean() for t in np.linspace(0.01, 20, 20000)
        ]
        assert information(logits, y) == pytest.approx(max(0, 1 - min(losses) / entropy), abs=1e-5)
        assert information(np.eye(2)[y] * 5, y) == 0.99
        assert information(np.eye(2)[[1, 1, 1, 1]], np.zeros(4, dtype=int)) == 0

    def test_the_gradient_of_the_posterior_weights_is_that_of_their_loss(self, monkeypatch):
        rng = np.random.default_rng(0)
        text, images, y = rng.normal(size=(30, 4)), rng.normal(size=(30, 4)), rng.integers(4, size=30)
        caught = {}

        def look(loss, start, **options):
            caught["loss"] = loss
            return real(loss, start, **options)

        real = module.minimize
        monkeypatch.setattr(module, "minimize", look)
        a, b = posterior_weights(text, images, y)
        loss = caught["loss"]
        for point in ([0.0, 0.0], [0.5, -1.0]):
            assert check_grad(lambda u: loss(u)[0], lambda u: loss(u)[1], point) < 1e-4
        grid = [loss(np.array([u, v]))[0] for u in np.linspace(-4, 1.5, 56) for v in np.linspace(-4, 3, 71)]
        assert loss(np.log([a / 1, b / 8]))[0] <= min(grid) + 1e-6

    def test_separation_is_a_ridge_logistic_regression_without_negative_weights(self):
        rng = np.random.default_rng(0)
        known = rng.normal([1.0, 0.5, -1.0], [1.0, 2.0, 1.0], size=(400, 3))
        unknown = rng.normal(0, [1.0, 1.0, 2.0], size=(100, 3))
        # Of the two parts that help, by scikit-learn: sides of equal weight, a ridge of 1/20 beside the mean
        # loss of each.
        X, y = np.concatenate([known, unknown])[:, :2], np.repeat([1, 0], [400, 100])
        shares = np.repeat([1 / 400, 1 / 100], [400, 100])
        plain = LogisticRegression(C=20, tol=1e-8).fit(X, y, sample_weight=shares)
        w = plain.coef_[0]
        assert w.min() > 0
        np.testing.assert_allclose(separation(known, unknown), [*(w / w.max()), 0], atol=2e-4)
        assert (separation(known, known) == 0).all()
        assert separation(unknown, known).tolist() == [0, 0, 1]
