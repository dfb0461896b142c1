from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from skneg import MCMDetector, TextBank, TipAdapterDetector
from skneg.errors import InputError

from ..conftest import random_unit

pytestmark = pytest.mark.filterwarnings("ignore:labels and names agree")  # of random images

unit = partial(random_unit, np.random.default_rng(0))
BANK, TRAIN, X = unit(3), unit(60), unit(20)
Y = np.tile(list("abc"), 20)


def fit(**parameters):
    return TipAdapterDetector(text_bank=BANK, calibration="train", **parameters).fit(TRAIN, Y)


def test_the_logits_of_small_numbers_are_those_computed_by_hand():
    # Cosines to the names 1 and 0; to the images of the first class .8 and 1, to that of the second 0.
    state = SimpleNamespace(
        text_bank_=TextBank.from_positives(np.eye(2)),
        neighbors_=np.array([[0.8, 0.6], [0.0, 1.0], [1.0, 0.0]]),
        neighbor_targets_=np.array([0, 1, 0]),
        temperature_=0.01,
    )
    detector = TipAdapterDetector(alpha=2.0, beta=5.0)
    cache = 2 * np.array([np.exp(-1) + 1, np.exp(-5)])
    expected = np.array([100, 0]) + cache
    np.testing.assert_allclose(100 * detector._joined(state, np.array([[1.0, 0.0]])), [expected], rtol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 0.01])
def test_scores_and_classes_are_those_of_the_joined_logits(temperature):
    detector = fit(alpha=3.0, beta=2.0, score_temperature=temperature)
    affinity = np.exp(-2.0 * (1 - X.astype(float) @ TRAIN.T))
    logits = 100 * X @ BANK.T + 3.0 * np.stack([affinity[:, c == Y].sum(axis=1) for c in "abc"], axis=1)
    shares = np.exp(logits / 100 / temperature)
    expected = np.log(shares.max(axis=1) / shares.sum(axis=1))
    np.testing.assert_allclose(detector.score_samples(X), expected, atol=1e-4)
    posterior = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(detector.predict_proba(X), posterior, atol=1e-4)


def test_without_the_cache_it_is_mcm():
    plain = MCMDetector(text_bank=BANK).fit(TRAIN, Y)
    np.testing.assert_allclose(fit(alpha=0).score_samples(X), plain.score_samples(X), atol=1e-6)


@pytest.mark.parametrize("wrong", [{"alpha": -1}, {"beta": 0}])
def test_what_is_no_weight_is_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        fit(**wrong)
