import numpy as np
import pytest

from skneg import FADetector, MCMDetector
from skneg.errors import InputError
from skneg.prompts import CoOpRecipe

from ..conftest import KNOWN


@pytest.fixture(scope="module")
def data(embedded):
    return embedded[0][:40], embedded[1][:40]


def fit(data, recipe=(), **parameters):
    start = {"n_ctx": None, "context_init": "a photo of a", "n_epochs": 3, "train_batch_size": 64}
    recipe = CoOpRecipe(**{**start, **dict(recipe)})
    common = {"model": "skneg-tiny", "calibration": "train", "random_state": 0}
    return FADetector(recipe=recipe, **{**common, **parameters}).fit(*data)


@pytest.fixture(scope="module")
def fitted(data):
    return fit(data, {"n_epochs": 6, "learning_rate": 0.05, "train_temperature": 0.1})


def test_the_bank_holds_learned_and_hand_written_prompts(data, fitted):
    written = MCMDetector(model="skneg-tiny").fit(*data).text_bank_.positive
    bank = fitted.text_bank_
    assert (bank.positive.shape, bank.negative.shape, bank.per_class) == (written.shape, written.shape, 1)
    np.testing.assert_allclose(bank.negative, written, atol=1e-5)
    assert np.abs(bank.positive - written).max() > 0.01


def test_training_starts_at_the_logarithm_of_one_more_than_the_copies(data):
    # Learned and frozen prompts are one: each share of the softmax is 1 / (1 + K) of that without copies.
    plain, forced = (
        fit(data, {"n_epochs": 1, "train_temperature": 0.1}, n_copies=k).history_["positive/cross_entropy"][0]
        for k in (1, 4)
    )
    X, y = data
    z = X.astype(float) @ MCMDetector(model="skneg-tiny").fit(X, y).text_bank_.positive.T / 0.1
    own = z[np.arange(len(X)), np.searchsorted(sorted(KNOWN), y)]
    cross_entropy = (np.log(np.exp(z).sum(axis=1)) - own).mean()
    np.testing.assert_allclose(plain, cross_entropy + np.log(2), rtol=1e-4)
    np.testing.assert_allclose(forced, cross_entropy + np.log(5), rtol=1e-4)


def test_the_learned_prompt_gains_on_the_copies(data, fitted):
    X, y = data
    own = np.searchsorted(sorted(KNOWN), y)
    bank = fitted.text_bank_
    gain = ((bank.positive - bank.negative)[own] * X).sum(axis=1)
    assert gain.mean() > 0.01
    losses = fitted.history_["positive/cross_entropy"]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(("n_copies", "temperature"), [(1, 1.0), (3, 0.1)])
def test_the_score_is_the_largest_share_of_learned_prompts_and_copies(data, fitted, n_copies, temperature):
    detector = fitted.set_params(n_copies=n_copies, score_temperature=temperature)
    Z, bank = data[0].astype(np.float64), fitted.text_bank_
    learned, frozen = (np.exp(Z @ part.T / temperature) for part in (bank.positive, bank.negative))
    mass = learned.sum(axis=1) + n_copies * frozen.sum(axis=1)
    expected = np.log(np.maximum(learned.max(axis=1), frozen.max(axis=1)) / mass)
    np.testing.assert_allclose(detector.score_samples(data[0]), expected, atol=1e-5)


def test_the_class_is_that_of_the_learned_prompts(data, fitted):
    logits = data[0].astype(np.float64) @ fitted.text_bank_.positive.T / fitted.temperature_
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(fitted.predict_proba(data[0]), p / p.sum(axis=1, keepdims=True), atol=1e-4)


def test_what_cannot_be_copied_is_refused(data):
    with pytest.raises(InputError, match="n_copies"):
        fit(data, n_copies=0)
    with pytest.raises(InputError, match=r"FADetector trains against .* context_init"):
        fit(data, {"context_init": None, "n_ctx": 4})
