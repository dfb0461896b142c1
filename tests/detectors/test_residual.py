import numpy as np
import pytest

from skneg import ResidualDetector
from skneg.detectors._residual import residuals
from skneg.errors import InputError

from ..conftest import random_unit

RNG = np.random.default_rng(0)
TRAIN, X = random_unit(RNG, 90), random_unit(RNG, 20)
Y = np.tile(list("abc"), 30)


def fit(Z=TRAIN, y=Y, **parameters):
    return ResidualDetector(calibration="train", random_state=0, **parameters).fit(Z, y)


def test_the_residual_is_what_the_principal_space_leaves():
    # (4, 4, 7) - (1, 0, 2) = (3, 4, 5): without the third axis 5 is left of it.
    fitted = {"origin_": np.array([1.0, 0.0, 2.0]), "residual_space_": np.eye(3)[:, :2]}
    assert residuals(fitted, np.array([[4.0, 4.0, 7.0], [1.0, 0.0, 9.0]])).tolist() == [5, 0]


@pytest.mark.parametrize("n_components", [None, 5])
def test_scores_are_those_of_the_formula(n_components):
    detector = fit(n_components=n_components)
    origin = -np.linalg.pinv(detector.coef_, rcond=1e-4) @ detector.intercept_
    _, _, axes = np.linalg.svd(TRAIN - origin)
    principal = axes[: n_components or 8]  # half of 16
    about = X - origin
    expected = -np.linalg.norm(about - about @ principal.T @ principal, axis=1)
    np.testing.assert_allclose(detector.score_samples(X), expected, rtol=1e-4)


@pytest.mark.parametrize("y", [Y, np.tile(list("ab"), 45)], ids=["three classes", "two classes"])
def test_all_logits_are_equal_at_the_origin(y):
    detector = fit(y=y)
    assert np.abs(detector.intercept_).max() > 1e-3
    logits = detector.coef_ @ detector.origin_ + detector.intercept_
    np.testing.assert_allclose(logits, logits[0], atol=1e-8)


def test_few_images_span_less_and_half_of_that_is_principal():
    # Six images in 16 dimensions.
    few = fit(TRAIN[:6], Y[:6], contamination=0.2)
    assert few.residual_space_.shape == (16, 16 - 3)
    on_training, on_new = few.score_samples(TRAIN[:6]), few.score_samples(X)
    assert on_training.min() > on_new.max()


def test_more_components_than_there_are_leave_one_of_them():
    assert fit(TRAIN[:6], Y[:6], n_components=1000, contamination=0.2).residual_space_.shape == (16, 16 - 5)
    with pytest.raises(InputError, match="n_components"):
        fit(n_components=0)


def test_images_of_one_point_a_class_have_a_score():
    two = np.repeat(TRAIN[:2], 10, axis=0)
    for n_components in (None, 1, 5):
        detector = fit(two, np.repeat(["a", "b"], 10), n_components=n_components)
        assert np.isfinite(detector.score_samples(X)).all()
