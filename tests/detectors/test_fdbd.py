from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from skneg import FDBDDetector

from ..conftest import random_unit

unit = partial(random_unit, np.random.default_rng(0))
TRAIN, X = unit(90), unit(20)
Y3, Y2 = np.tile(list("abc"), 30), np.tile(list("ab"), 45)


def fit(y=Y3, **parameters):
    return FDBDDetector(calibration="train", random_state=0, **parameters).fit(TRAIN, y)


def test_the_score_of_small_numbers_is_that_computed_by_hand():
    # Logits 6, 1, 0; gaps of 5 and 2 to the other weights: (5 / 5 + 6 / 2) / 2 = 2, at 4 from the mean.
    state = SimpleNamespace(
        coef_=np.zeros((3, 2)),
        intercept_=np.array([6.0, 1.0, 0.0]),
        classes_=np.arange(3),
        inverse_gaps_=1 / np.array([[np.inf, 5, 2], [5, np.inf, 7], [2, 7, np.inf]]),
        mean_=np.array([0.0, 1.0]),
    )
    np.testing.assert_allclose(FDBDDetector()._score(state, np.array([[0.0, 5.0]])), [0.5])


@pytest.mark.parametrize("y", [Y2, Y3], ids=["two classes", "three classes"])
def test_scores_are_the_way_to_each_boundary_over_that_to_the_mean(y):
    detector = fit(y)
    W, b = detector.coef_, detector.intercept_
    if len(W) == 1:
        W, b = np.vstack([-W, W]) / 2, np.hstack([-b, b]) / 2
    for x, score in zip(X, detector.score_samples(X), strict=True):
        logits, best = W @ x + b, (W @ x + b).argmax()
        ways = []
        for c in set(range(len(W))) - {best}:
            normal = W[best] - W[c]
            # What must be added to x, so that both classes are as likely.
            step = -normal * (logits[best] - logits[c]) / (normal @ normal)
            assert (W[best] - W[c]) @ (x + step) + b[best] - b[c] == pytest.approx(0, abs=1e-4)
            ways.append(np.linalg.norm(step))
        expected = np.mean(ways) / np.linalg.norm(x - TRAIN.mean(axis=0))
        assert score == pytest.approx(expected, rel=1e-3)


def test_classes_that_are_not_told_apart_have_no_boundary():
    learned = {
        "train_embeddings_": np.repeat(TRAIN[:20], 2, axis=0),
        "train_names_": np.tile(["a", "b"], 20),
        "seed_": 0,
    }
    detector = FDBDDetector(C=1e-12)
    fitted = detector._prepare(learned, ["a", "b"])
    assert (np.diag(fitted["inverse_gaps_"]) == 0).all()
    state = SimpleNamespace(**{**fitted, "mean_": X[0], "classes_": np.arange(2)})
    assert np.isfinite(detector._score(state, X)).all()
