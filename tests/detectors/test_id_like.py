import pickle

import numpy as np
import pytest

from skneg import CLIPImageEncoder, IDLikeDetector
from skneg.errors import InputError
from skneg.prompts import CoOpRecipe


@pytest.fixture(scope="module")
def data(scenes):
    return scenes[0][:40], scenes[1][:40]


def detector(**parameters):
    recipe = parameters.pop("recipe", CoOpRecipe(n_epochs=1, n_ctx=2))
    common = {"model": "skneg-tiny", "calibration": "train", "random_state": 0, "n_negative": 3}
    return IDLikeDetector(recipe=recipe, **{**common, "n_crops": 4, "n_parts": 2, **parameters})


@pytest.fixture(scope="module")
def fitted(data):
    return detector().fit(*data)


def test_the_score_by_hand(data, fitted):
    Z, bank = CLIPImageEncoder(model="skneg-tiny").transform(data[0]).astype(float), fitted.text_bank_
    known, unknown = (np.exp(Z @ part.T / 0.01).sum(axis=1) for part in (bank.positive, bank.negative))
    np.testing.assert_allclose(fitted.score_samples(data[0]), np.log(known / (known + unknown)), atol=1e-4)


def test_embeddings_are_enough_in_predictions(data, fitted):
    Z = CLIPImageEncoder(model="skneg-tiny").transform(data[0])
    np.testing.assert_array_equal(fitted.score_samples(Z), fitted.score_samples(data[0]))
    with pytest.raises(InputError, match="learns from crops .* give fit the images"):
        detector().fit(Z, data[1])


def test_a_prediction_makes_no_crops(data, fitted, monkeypatch):
    from skneg.images import _cropped

    monkeypatch.setattr(_cropped, "augmented_views", None)
    assert len(fitted.predict(data[0])) == len(data[0])


def test_neither_pixels_nor_crops_are_kept(data, fitted):
    assert isinstance(fitted.calibration_embeddings_, np.ndarray)
    assert len(pickle.dumps(fitted)) < 400_000


def test_the_crops_follow_the_seed(data):
    first, same, other = (detector(random_state=seed).fit(*data).history_ for seed in (0, 0, 1))
    np.testing.assert_array_equal(first["joint/total"], same["joint/total"])
    assert first["joint/total"][0] != other["joint/total"][0]


def test_crops_unlike_the_class_are_taken_from_the_classes(data):
    recipe = CoOpRecipe(n_epochs=20, n_ctx=4, learning_rate=0.05, train_temperature=0.05)
    history = detector(recipe=recipe, outlier_weight=2.0).fit(*data).history_
    assert history["joint/outliers"][-1] < history["joint/outliers"][0] - 0.1
    parts = (history[f"joint/{name}"] for name in ("cross_entropy", "outliers", "diversity"))
    np.testing.assert_allclose(history["joint/total"], sum(parts), rtol=1e-4)


@pytest.mark.parametrize(
    "parameters",
    [{"n_negative": 0}, {"n_crops": 1}, {"n_parts": 0}, {"outlier_weight": -1}, {"diversity_weight": -1}],
)
def test_unusable_parameters_are_named(data, parameters):
    with pytest.raises(InputError, match=next(iter(parameters))):
        detector(**parameters).fit(*data)
