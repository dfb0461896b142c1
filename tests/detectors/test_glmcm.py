import numpy as np
import pytest

from skneg import CLIPImageEncoder, GLMCMDetector, MCMDetector
from skneg.metrics import auroc

from ..conftest import KNOWN


@pytest.fixture(scope="module")
def local(scenes):
    """Embeddings of the whole scenes and of their patches."""
    return CLIPImageEncoder(model="skneg-tiny", local=True).transform(scenes[0])


def shares(Z, texts, temperature):
    masses = np.exp(Z.astype(np.float64) @ texts.T / temperature)
    return masses / masses.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("parameters", [{}, {"local_weight": 0.3, "score_temperature": 0.05}])
def test_the_best_share_of_the_image_and_of_a_patch_add_up(local, scenes, parameters):
    detector = GLMCMDetector(model="skneg-tiny", **parameters).fit(local, scenes[1])
    weight, temperature = parameters.get("local_weight", 1), parameters.get("score_temperature", 1)
    p = shares(local, detector.text_bank_.positive, temperature)
    expected = p[:, 0].max(axis=1) + weight * p[:, 1:].max(axis=(1, 2))
    np.testing.assert_allclose(detector.score_samples(local), expected, atol=1e-5)


def test_without_patches_it_is_mcm_and_they_name_no_class(local, scenes):
    mcm = MCMDetector(model="skneg-tiny").fit(local[:, 0], scenes[1])
    whole = GLMCMDetector(model="skneg-tiny", local_weight=0).fit(local, scenes[1])
    np.testing.assert_allclose(np.log(whole.score_samples(local)), mcm.score_samples(local[:, 0]), atol=1e-6)
    both = GLMCMDetector(model="skneg-tiny").fit(local, scenes[1])
    np.testing.assert_allclose(both.predict_proba(local), mcm.predict_proba(local[:, 0]), atol=1e-6)


def test_a_known_patch_makes_a_strange_image_known():
    rng = np.random.default_rng(0)
    texts = np.eye(3, 8, dtype=np.float32)
    strange = rng.normal(size=(40, 5, 5)).astype(np.float32)
    # Nothing in these images is like a class, but a patch of every second one is.
    Z = np.concatenate([np.zeros((40, 5, 3), dtype=np.float32), strange], axis=2)
    Z[::2, 2] = texts[1]
    detector = GLMCMDetector(text_bank=texts, score_temperature=0.1).fit(Z, class_names=KNOWN[:3])
    scores = detector.score_samples(Z)
    assert auroc(scores[::2], scores[1::2]) == 1
    detector.set_params(local_weight=0)
    np.testing.assert_allclose(detector.score_samples(Z), 1 / 3, rtol=1e-6)
