from functools import partial

import numpy as np
import pytest

from skneg import KNNDetector

from ..conftest import random_unit

RNG = np.random.default_rng(0)


unit = partial(random_unit, RNG)


TRAIN, X = unit(60), unit(30)
NAMES = list("abc")
Y = np.tile(NAMES, 20)
DISTANCES = np.array([[np.linalg.norm(x - row) for row in TRAIN] for x in X.astype(np.float64)])


def fit(**parameters):
    return KNNDetector(calibration="train", **parameters).fit(TRAIN, Y)


@pytest.mark.parametrize("k", [1, 3, 60])
def test_the_score_is_minus_the_distance_to_the_kth_nearest(k):
    expected = -np.sort(DISTANCES, axis=1)[:, k - 1]
    np.testing.assert_allclose(fit(n_neighbors=k).score_samples(X), expected, atol=1e-5)


def test_classes_share_the_neighbours_by_the_inverse_of_their_distance():
    expected = np.zeros((len(X), 3))
    for row, distances in enumerate(DISTANCES):
        for neighbour in np.argsort(distances)[:5]:
            expected[row, NAMES.index(Y[neighbour])] += 1 / distances[neighbour]
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(fit(n_neighbors=5).predict_proba(X), expected, rtol=1e-4)


def test_where_fewer_images_are_left_all_are_used():
    with pytest.warns(UserWarning, match="comes from"):
        few = KNNDetector(n_neighbors=10).fit(TRAIN[:4], Y[:4])
    np.testing.assert_allclose(few.score_samples(X), -DISTANCES[:, :4].max(axis=1), atol=1e-5)


def test_images_of_a_dropped_class_are_no_neighbours():
    # The images of class b cannot be scored any more: 40 are left for the threshold.
    detector = fit(n_neighbors=2).set_vocabulary(["a", "c"])
    expected = -np.sort(DISTANCES[:, Y != "b"], axis=1)[:, 1]
    np.testing.assert_allclose(detector.score_samples(X), expected, atol=1e-5)
    assert len(detector.calibration_scores_) == 40
