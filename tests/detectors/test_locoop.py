import numpy as np
import pytest

from skneg import CLIPImageEncoder, CoOpDetector, LoCoOpDetector
from skneg.prompts import CoOpRecipe

from ..conftest import KNOWN

# One batch an epoch; from the second epoch on the context learns.
RECIPE = CoOpRecipe(
    n_ctx=None, context_init="a photo of a", n_epochs=3, learning_rate=0.1, train_temperature=0.1
)


@pytest.fixture(scope="module")
def data(scenes):
    X, y = scenes[0][:30], scenes[1][:30]
    return CLIPImageEncoder(model="skneg-tiny", local=True).transform(X), y


def fit(data, kind=LoCoOpDetector, **parameters):
    detector = kind(model="skneg-tiny", recipe=RECIPE, calibration="train", random_state=0, **parameters)
    return detector.fit(*data)


def background_entropy(data, top_k):
    """Mean entropy of the patches whose image's class is not among their likeliest, at the start."""
    Z, y = data
    detector = fit(data)
    tower = detector._backbone().text_tower
    z = Z[:, 1:].astype(np.float64) @ tower.encode([f"a photo of a {n}" for n in sorted(KNOWN)]).T / 0.1
    p = np.exp(z) / np.exp(z).sum(axis=2, keepdims=True)
    entropies = []
    for own, patches in zip(np.searchsorted(sorted(KNOWN), y), p, strict=True):
        for patch in patches:
            if own not in np.argsort(-patch)[:top_k]:
                entropies.append(-(patch * np.log(patch + 1e-5)).sum())
    return np.mean(entropies)


@pytest.mark.parametrize("parameters", [{}, {"top_k": 3, "entropy_weight": 2.0}])
def test_the_entropy_of_background_patches_is_to_be_raised(data, parameters):
    history = fit(data, **parameters).history_
    # A fifth of six classes is one.
    expected = background_entropy(data, parameters.get("top_k", 1)) * parameters.get("entropy_weight", 0.25)
    assert history["positive/entropy"][0] == pytest.approx(-expected, rel=1e-4)
    np.testing.assert_allclose(
        history["positive/total"], history["positive/cross_entropy"] + history["positive/entropy"], rtol=1e-4
    )


def test_without_the_entropy_it_learns_what_coop_learns(data):
    coop = fit((data[0][:, 0], data[1]), CoOpDetector).positive_context_
    np.testing.assert_allclose(fit(data, entropy_weight=0).positive_context_, coop, atol=1e-6)
    # With all classes among the likeliest no patch is background.
    np.testing.assert_allclose(fit(data, top_k=6).positive_context_, coop, atol=1e-6)
    assert np.abs(fit(data).positive_context_ - coop).max() > 1e-4


def test_patches_count_in_the_score_by_their_weight_and_not_in_training(data):
    detectors = {weight: fit(data, local_weight=weight) for weight in (0, 0.5)}
    np.testing.assert_array_equal(detectors[0].positive_context_, detectors[0.5].positive_context_)
    texts = detectors[0].text_bank_.positive
    masses = np.exp(data[0].astype(np.float64) @ texts.T)
    best = (masses / masses.sum(axis=2, keepdims=True)).max(axis=2)
    for weight, detector in detectors.items():
        expected = best[:, 0] + weight * best[:, 1:].max(axis=1)
        np.testing.assert_allclose(detector.score_samples(data[0]), expected, atol=1e-5)
