"""Scores of training images by what other images have taught."""

import numpy as np
import pytest

from skneg import KNNDetector, LinearProbeDetector, MahalanobisDetector, _crossfit
from skneg._crossfit import cross_fit_detector, log_posterior
from skneg.evidence import folds

from .conftest import random_unit
from .evidence.data import clusters


def cross_fit(detector, X, y, groups=None, seed=0):
    return cross_fit_detector(detector, X, y, [f"c{c}" for c in range(y.max() + 1)], seed, groups)


def test_each_image_is_scored_by_the_other_folds():
    X, y = clusters([7, 9, 8])
    rows, honest = cross_fit(KNNDetector(n_neighbors=1), X, y)
    fold = folds(y, 5, np.random.RandomState(0))
    expected = [-np.linalg.norm(X[fold != fold[i]] - X[i], axis=1).min() for i in range(len(X))]
    assert rows.tolist() == list(range(24))
    np.testing.assert_allclose(honest[:, 0], expected, atol=1e-4)


def test_an_image_alone_in_its_class_teaches_all_folds_and_is_left_out():
    X, y = clusters([1, 6, 6])
    seen = []

    class Noting(KNNDetector):
        def _learn(self, Z, targets, names, seed, groups):
            seen.append(names)
            return super()._learn(Z, targets, names, seed, groups)

    rows, _ = cross_fit(Noting(n_neighbors=1), X, y)
    assert rows.tolist() == list(range(1, 13))
    assert seen == [["c0", "c1", "c2"]] * 5


def test_copies_in_one_group_do_not_vouch_for_each_other():
    X, y = clusters([8, 8])
    X, y, groups = X.repeat(2, axis=0), y.repeat(2), np.arange(16).repeat(2)
    nearest = KNNDetector(n_neighbors=1)
    assert np.median(cross_fit(nearest, X, y)[1][:, 0]) > -1e-3
    assert cross_fit(nearest, X, y, groups)[1][:, 0].max() < -1e-3


def test_classes_that_cannot_be_compared_leave_nothing():
    X, y = clusters([1, 1, 1])
    assert len(cross_fit(KNNDetector(), X, y)[0]) == 0
    X, y = clusters([9])
    assert len(cross_fit(LinearProbeDetector(random_state=0), X, y)[0]) == 0  # one class, no logits
    assert len(cross_fit(KNNDetector(), X, y)[0]) == 9


def test_of_very_many_images_some_are_kept(monkeypatch):
    monkeypatch.setattr(_crossfit, "_MOST", 10)
    X, y = clusters([20, 20])
    assert len(cross_fit(KNNDetector(), X, y)[0]) == 10
    detector = KNNDetector(random_state=0, contamination=0.2).fit(X, y.astype(str))
    assert detector.calibration_embeddings_.shape == (10, 16)
    before = detector.offset_
    assert detector.calibrate().offset_ == pytest.approx(before)


@pytest.mark.parametrize(
    "detector", [KNNDetector(n_neighbors=1), LinearProbeDetector(), MahalanobisDetector()]
)
@pytest.mark.parametrize(("shots", "least"), [(2, 0), (5, 0.08), (20, 0.1)])
def test_about_the_promised_share_of_new_images_is_rejected(detector, shots, least):
    rejected = []
    for seed in range(12):
        X, y = clusters([shots + 40] * 4, seed=seed)
        train = np.concatenate([np.flatnonzero(y == c)[:shots] for c in range(4)])
        new = np.setdiff1d(np.arange(len(y)), train)
        detector.set_params(random_state=seed, contamination=0.2).fit(X[train], y[train])
        rejected.append((detector.decision_function(X[new]) < 0).mean())
    # Too few where classes have two images: the fold's own class then has one.
    assert least <= np.mean(rejected) < 0.3


def test_logarithms_of_a_posterior_of_zero_are_finite():
    detector = KNNDetector(n_neighbors=1, random_state=0).fit(
        random_unit(np.random.default_rng(0), 20), [0, 1] * 10
    )
    log_p = log_posterior(detector, detector._state, detector.train_embeddings_)
    assert log_p.min() == -30
    assert log_p.max() == 0
