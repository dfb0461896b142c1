import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.covariance import ledoit_wolf

from skneg import CalibrationWarning, MahalanobisDetector

RNG = np.random.default_rng(0)
D, NAMES = 6, ["a", "b", "c"]
# Classes around means of their own, wide in some directions and narrow in others.
CENTRES, SPREAD = RNG.normal(size=(3, D)), np.linspace(0.05, 0.4, D)
Y = np.repeat(NAMES, [20, 30, 40])


def around_centres(numbers):
    rows = CENTRES[numbers] + SPREAD * RNG.normal(size=(len(numbers), D))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


TRAIN, X = around_centres(np.repeat([0, 1, 2], [20, 30, 40])), around_centres(np.repeat([0, 1, 2], 10))


def by_hand(classes):
    """Means of the classes, and the one covariance about them."""
    rows = {name: TRAIN[name == Y].astype(np.float64) for name in classes}
    means = [rows[name].mean(axis=0) for name in classes]
    centred = np.concatenate([rows[name] - mean for name, mean in zip(classes, means, strict=True)])
    return np.stack(means), ledoit_wolf(centred, assume_centered=True)[0]


def test_the_score_is_minus_the_squared_distance_to_the_nearest_mean():
    detector = MahalanobisDetector(calibration="train").fit(TRAIN, Y)
    means, covariance = by_hand(NAMES)
    inverse = np.linalg.inv(covariance)
    expected = [-min((x - mean) @ inverse @ (x - mean) for mean in means) for x in X.astype(np.float64)]
    np.testing.assert_allclose(detector.means_, means, atol=1e-6)
    np.testing.assert_allclose(detector.score_samples(X), expected, rtol=1e-3)
    # Euclidean distances order the images differently: the covariance counts.
    euclidean = -np.linalg.norm(X[:, None] - means, axis=2).min(axis=1)
    assert (np.argsort(expected) != np.argsort(euclidean)).any()


def test_the_posterior_is_that_of_normal_classes_of_equal_weight():
    detector = MahalanobisDetector(calibration="train").fit(TRAIN, Y)
    means, covariance = by_hand(NAMES)
    # Points from one class to the next: the nearer the middle, the more in doubt.
    steps = np.linspace(0.3, 0.7, 401)[:, None]
    Z = np.concatenate([X, (1 - steps) * means[0] + steps * means[1]])
    Z /= np.linalg.norm(Z, axis=1, keepdims=True)
    densities = np.stack([multivariate_normal(mean, covariance).pdf(Z) for mean in means], axis=1)
    expected = densities / densities.sum(axis=1, keepdims=True)
    assert (expected.max(axis=1) < 0.9).any()
    np.testing.assert_allclose(detector.predict_proba(Z), expected, atol=1e-4)


def test_a_dropped_class_leaves_the_covariance_too():
    detector = MahalanobisDetector(calibration="train").fit(TRAIN, Y).set_vocabulary(["c", "a"])
    means, covariance = by_hand(["a", "c"])
    np.testing.assert_allclose(detector.means_, means, atol=1e-6)
    np.testing.assert_allclose(
        np.linalg.inv(detector.whitener_ @ detector.whitener_.T), covariance, atol=1e-6
    )


@pytest.mark.parametrize("labels", [["a", "b"], ["a", "a"]])
def test_two_images_have_euclids_distance(labels):
    for _ in range(3):  # of a covariance of one direction, rounding decides whether it has a root
        Z = RNG.normal(size=(12, 64)).astype(np.float32)
        Z /= np.linalg.norm(Z, axis=1, keepdims=True)
        with pytest.warns(CalibrationWarning):
            detector = MahalanobisDetector(calibration="train").fit(Z[:2], labels)
        distances = np.square(Z[:, None] - detector.means_).sum(axis=2).min(axis=1)
        np.testing.assert_allclose(detector.score_samples(Z), -distances, atol=1e-5)
