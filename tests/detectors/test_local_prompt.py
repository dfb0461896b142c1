import numpy as np
import pytest

from skneg import CLIPImageEncoder, LocalPromptDetector
from skneg.backbone import load_backbone
from skneg.errors import InputError
from skneg.prompts import CoOpRecipe, context_from_text, encode_prompts

from ..conftest import KNOWN

NAMES = sorted(KNOWN)


@pytest.fixture(scope="module")
def data(scenes):
    return CLIPImageEncoder(model="skneg-tiny", local=True).transform(scenes[0][:48]), scenes[1][:48]


def fit(data, recipe=None, **parameters):
    recipe = recipe or CoOpRecipe(n_epochs=1, n_ctx=None, context_init="a photo of a", learning_rate=1e-3)
    common = {"model": "skneg-tiny", "recipe": recipe, "calibration": "train", "random_state": 0}
    return LocalPromptDetector(**{**common, "n_negative": 3, **parameters}).fit(*data)


def shares(x, temperature=1.0):
    return np.exp(x / temperature) / np.exp(x / temperature).sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_score_and_posterior_by_hand(data, temperature):
    detector, Z = fit(data, top_k=5, score_temperature=temperature), data[0][:6].astype(float)
    bank, local = detector.text_bank_, detector.local_prompts_
    hand_written = load_backbone("skneg-tiny").text_tower.encode([f"a photo of a {n}" for n in NAMES])
    np.testing.assert_allclose(bank.positive, hand_written, atol=1e-5)
    whole = shares(Z[:, 0] @ bank.positive.T, temperature).max(axis=1)
    at_patches = shares(Z[:, 1:] @ np.concatenate([local, bank.negative]).T, temperature)[:, :, : len(local)]
    expected = whole + np.sort(at_patches.reshape(6, -1), axis=1)[:, -5:].mean(axis=1)
    np.testing.assert_allclose(detector.score_samples(data[0][:6]), expected, rtol=1e-5)
    best = np.exp(np.sort(Z[:, 1:] @ local.T, axis=1)[:, -5:] / temperature).mean(axis=1)
    product = np.exp(Z[:, 0] @ bank.positive.T / temperature) * best
    expected = shares(temperature * np.log(product), detector.temperature_)
    np.testing.assert_allclose(detector.predict_proba(data[0][:6]), expected, atol=1e-3)


def test_the_losses_are_those_of_the_trainer(data):
    history = fit(data, negative_weight=0.0, diversity_weight=0.0).history_
    assert history["joint/local_negative"][0] == history["joint/diversity"][0] == 0
    history = fit(data).history_
    parts = (history[f"joint/{name}"] for name in ("local", "local_negative", "diversity"))
    np.testing.assert_allclose(history["joint/total"], sum(parts), rtol=1e-5)


def test_new_names_stand_behind_the_learned_context(data):
    detector = fit(data, CoOpRecipe(n_epochs=2, n_ctx=4)).set_vocabulary(["fish", "tree"])
    tower = load_backbone("skneg-tiny").text_tower
    context = context_from_text(tower, "a")[None].new_tensor(detector.positive_context_[None])
    expected = encode_prompts(tower, context, ["fish", "tree"], normalize=True)[0]
    np.testing.assert_allclose(detector.local_prompts_, expected, atol=1e-5)


def test_more_patches_than_there_are_count_as_all(data):
    np.testing.assert_array_equal(
        fit(data, top_k=10**6).positive_context_, fit(data, top_k=data[0].shape[1]).positive_context_
    )


@pytest.mark.parametrize(
    "parameters", [{"n_negative": 0}, {"top_k": 0}, {"negative_weight": -1}, {"diversity_weight": -1}]
)
def test_unusable_parameters_are_named(data, parameters):
    with pytest.raises(InputError, match=next(iter(parameters))):
        fit(data, **parameters)
