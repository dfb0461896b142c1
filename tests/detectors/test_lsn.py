import copy

import numpy as np
import pytest

from skneg import CoOpDetector, LSNDetector
from skneg.prompts import CoOpRecipe

from ..conftest import KNOWN

RECIPE = CoOpRecipe(n_ctx=4, n_epochs=6, learning_rate=0.05, train_batch_size=64)


@pytest.fixture(scope="module")
def data(embedded):
    return embedded[0][:40], embedded[1][:40]


def fit(data, kind=LSNDetector, **parameters):
    settings = {"recipe": RECIPE, "calibration": "train", "random_state": 0, **parameters}
    return kind(model="skneg-tiny", **settings).fit(*data)


@pytest.fixture(scope="module")
def fitted(data):
    return fit(data)


def shares(z):
    masses = np.exp(z - z.max(axis=1, keepdims=True))
    return masses / masses.sum(axis=1, keepdims=True)


def test_the_score_is_the_largest_share_of_a_name_less_the_smallest_of_a_negative(fitted, data):
    X, bank = data[0].astype(np.float64), fitted.text_bank_
    # Three negatives in a row are a class's own; their cosines are averaged.
    negatives = np.stack([(X @ bank.negative[3 * i : 3 * i + 3].T).mean(axis=1) for i in range(6)], axis=1)
    assert bank.per_class == 3
    for temperature in (0.01, 0.3):
        detector = copy.deepcopy(fitted).set_params(score_temperature=temperature)
        positive, negative = shares(X @ bank.positive.T / temperature), shares(negatives / temperature)
        expected = positive.max(axis=1) - negative.min(axis=1)
        np.testing.assert_allclose(detector.score_samples(data[0]), expected, atol=1e-4)


def test_positives_are_those_of_coop_whatever_the_negatives(fitted, data):
    coop = fit(data, CoOpDetector)
    for detector in (fitted, fit(data, n_negative=1)):
        np.testing.assert_array_equal(detector.positive_context_, coop.positive_context_)
        for name, values in coop.history_.items():
            np.testing.assert_array_equal(detector.history_[name], values)
    assert set(fitted.history_) - set(coop.history_) == {
        "negative/negative", "negative/orthogonality", "negative/total",
    }  # fmt: skip


def test_images_learn_to_be_least_like_the_negatives_of_their_class(fitted, data):
    def own_is_least(detector):
        cosines = (data[0] @ detector.text_bank_.negative.T).reshape(len(data[0]), 6, 3).mean(axis=2)
        return (cosines.argmin(axis=1) == np.searchsorted(sorted(KNOWN), data[1])).mean()

    losses = fitted.history_["negative/negative"]
    assert losses[-1] < 0.2 * losses[0]
    assert own_is_least(fit(data, recipe=CoOpRecipe(n_ctx=4, n_epochs=1))) < 0.5 < own_is_least(fitted)


def test_the_second_stage_pays_for_negatives_of_a_class_that_are_alike(data):
    one, three = (fit(data, n_negative=n).history_["negative/orthogonality"] for n in (1, 3))
    assert (one == 0).all()  # alone it is like no other
    # They start nearly equal: a tenth of three pairs.
    assert three[0] == pytest.approx(0.3, abs=0.01)


def test_negatives_stay_with_their_class(fitted):
    bank = fitted.text_bank_
    fewer = copy.deepcopy(fitted).set_vocabulary(["star", "heart", "key", "anchor"])
    rows = [sorted(KNOWN).index(name) for name in fewer.class_names_]
    expected = bank.negative.reshape(6, 3, -1)[rows].reshape(12, -1)
    np.testing.assert_allclose(fewer.text_bank_.negative, expected, atol=1e-6)
