import numpy as np
import pytest
import torch

from skneg import CoOpDetector
from skneg.backbone import load_backbone
from skneg.prompts import CoOpRecipe, context_from_text, encode_prompts

from ..conftest import KNOWN

HAND_WRITTEN = {"n_ctx": None, "context_init": "a photo of a"}


@pytest.fixture(scope="module")
def data(embedded):
    return embedded[0][:40], embedded[1][:40]


def fit(data, score_temperature=1.0, random_state=0, **recipe):
    recipe = CoOpRecipe(**{"n_ctx": 4, "n_epochs": 3, "train_batch_size": 64, **recipe})
    detector = CoOpDetector(
        model="skneg-tiny",
        recipe=recipe,
        score_temperature=score_temperature,
        calibration="train",
        random_state=random_state,
    )
    return detector.fit(*data)


def test_training_starts_at_the_cross_entropy_of_the_hand_written_prompts(data):
    X, y = data
    detector = fit(data, n_epochs=1, train_temperature=0.1, **HAND_WRITTEN)
    tower = load_backbone("skneg-tiny").text_tower
    z = X.astype(np.float64) @ tower.encode([f"a photo of a {name}" for name in sorted(KNOWN)]).T / 0.1
    own = z[np.arange(len(X)), np.searchsorted(sorted(KNOWN), y)]
    expected = (np.log(np.exp(z).sum(axis=1)) - own).mean()
    assert list(detector.history_) == ["positive/cross_entropy", "positive/total"]
    np.testing.assert_allclose(detector.history_["positive/cross_entropy"], [expected], rtol=1e-4)


def test_the_first_epoch_warms_up_and_the_others_learn(data):
    start = context_from_text(load_backbone("skneg-tiny").text_tower, "a photo of a").numpy()
    changes = []
    for n_epochs, rate in ((1, 0.002), (1, 0.2), (4, 0.002), (4, 0.2)):
        detector = fit(data, n_epochs=n_epochs, learning_rate=rate, train_temperature=0.1, **HAND_WRITTEN)
        changes.append(np.abs(detector.positive_context_ - start).max())
    assert 0 < changes[0] < 1e-4
    assert changes[1] == changes[0]  # the rate of the warm-up is fixed
    assert changes[3] > 10 * changes[2] > 10 * changes[0]
    losses = detector.history_["positive/cross_entropy"]
    assert losses[-1] < losses[0]


def test_the_seed_decides_the_noise_that_it_starts_from(data):
    # After the warm-up alone the context is the noise still.
    first, same, other = (fit(data, n_epochs=1, random_state=seed).positive_context_ for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).mean() > 0.01


def test_epochs_count_batches(data):
    history = fit(data, n_epochs=3, train_batch_size=16).history_
    assert history["positive/total"].shape == (9,)


def test_only_the_context_learns_and_the_bank_is_made_of_it(data):
    tower = load_backbone("skneg-tiny").text_tower
    before = tower.encode(["a photo of a star"])
    detector = fit(data)
    np.testing.assert_array_equal(tower.encode(["a photo of a star"]), before)
    context = torch.from_numpy(detector.positive_context_)[None]
    expected = encode_prompts(tower, context, sorted(KNOWN), normalize=True, method="full_length")[0]
    np.testing.assert_allclose(detector.text_bank_.positive, expected.numpy(), atol=1e-5)
    assert len(detector.text_bank_.negative) == 0


def test_the_score_is_the_largest_softmax_share_at_its_own_temperature(data):
    warm, cold = fit(data), fit(data, score_temperature=0.1)
    np.testing.assert_array_equal(warm.positive_context_, cold.positive_context_)
    for detector, temperature in ((warm, 1.0), (cold, 0.1)):
        masses = np.exp(data[0].astype(np.float64) @ detector.text_bank_.positive.T / temperature)
        expected = np.log(masses.max(axis=1) / masses.sum(axis=1))
        np.testing.assert_allclose(detector.score_samples(data[0]), expected, atol=1e-5)
