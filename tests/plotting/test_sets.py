"""From what users hand in to named sets of images, and to what the images are compared with."""

from types import SimpleNamespace

import numpy as np
import pytest

from skneg import CLIPImageEncoder, GLMCMDetector, KNNDetector, MCMDetector, ODINDetector, ScoreEnsemble
from skneg.errors import InputError, InputTypeError
from skneg.plotting import EmbeddingMapDisplay, SimilarityDisplay
from skneg.plotting._sets import bank_of, by_set, named

BOTH = [SimilarityDisplay, EmbeddingMapDisplay]
ANIMALS = SimpleNamespace(classes_=np.array(["cat", "dog"]), unknown_label_="unknown")


def test_rows_go_to_the_set_that_their_label_names():
    y = ["cat", "unknown", "dog", "unknown", "cat"]
    sets = by_set(ANIMALS, lambda X: 10 * np.asarray(X), range(5), y, {"near": [7, 8], "far": [9]})
    assert list(sets) == ["ID", "OOD", "near", "far"]
    assert {name: values.tolist() for name, values in sets.items()} == {
        "ID": [0, 20, 40], "OOD": [10, 30], "near": [70, 80], "far": [90],
    }  # fmt: skip


def test_without_labels_every_row_is_known():
    sets = by_set(ANIMALS, np.asarray, [3, 4], None, None)
    assert {name: values.tolist() for name, values in sets.items()} == {"ID": [3, 4]}


def test_a_single_set_is_called_ood_and_names_are_texts_of_their_own():
    assert named(None) == {}
    assert named([1, 2]) == {"OOD": [1, 2]}
    assert list(named({"far": [1], "near": [2]})) == ["far", "near"]
    for name in ("ID", 3, None):
        with pytest.raises(InputError, match=f"cannot be called {name!r}"):
            named({"near": [1], name: [2]})


def test_a_detector_of_images_is_compared_with_the_mean_of_each_class(embedded):
    detector = KNNDetector(model="skneg-tiny", random_state=0).fit(*embedded)
    bank, kind = bank_of(detector)
    state = detector._fitted()
    for row, name in zip(bank.positive, detector.classes_, strict=True):
        mean = state.train_embeddings_[state.train_names_ == name].mean(axis=0)
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-5)
    assert kind == "class means"
    assert len(bank.negative) == 0


def test_a_detector_of_names_is_compared_with_its_own_bank(detector):
    bank, kind = bank_of(detector)
    assert bank is detector.text_bank_
    assert kind == "positive prompts"


@pytest.mark.parametrize("display", BOTH)
def test_without_negatives_only_positives_are_drawn(display, embedded):
    drawn = display.from_estimator(MCMDetector(model="skneg-tiny").fit(*embedded), *embedded)
    labels = " ".join(text.get_text() for text in drawn.ax_.get_legend().get_texts())
    assert "positive prompts" in labels + drawn.ax_.get_ylabel()
    assert "negative" not in labels
    assert "negative" not in set(drawn.frame().astype(str).to_numpy().ravel())


@pytest.mark.parametrize("display", BOTH)
def test_detectors_of_images_show_class_means(display, embedded):
    drawn = display.from_estimator(KNNDetector(model="skneg-tiny", random_state=0).fit(*embedded), *embedded)
    assert drawn.positive_name == "class means"


@pytest.mark.parametrize("kind", [GLMCMDetector, ODINDetector])
def test_detectors_that_see_more_of_an_image_are_compared_by_the_whole(kind, scenes, embedded):
    X, y = scenes
    expected = SimilarityDisplay.from_estimator(MCMDetector(model="skneg-tiny").fit(X, y), embedded[0])
    drawn = SimilarityDisplay.from_estimator(kind(model="skneg-tiny").fit(X, y), X)
    np.testing.assert_allclose(drawn.frame()["cosine"], expected.frame()["cosine"], atol=1e-5)


def test_local_features_give_their_whole_image(scenes, embedded):
    detector = GLMCMDetector(model="skneg-tiny").fit(*scenes)
    local = CLIPImageEncoder(model="skneg-tiny", local=True).transform(scenes[0][:10])
    drawn = SimilarityDisplay.from_estimator(detector, local)
    whole = (embedded[0][:10] @ detector.text_bank_.positive.T).max(axis=1)
    np.testing.assert_allclose(drawn.frame()["cosine"], whole, atol=1e-5)


@pytest.mark.parametrize("display", BOTH)
def test_an_ensemble_has_no_bank_and_is_refused(display, embedded):
    ensemble = ScoreEnsemble([MCMDetector(model="skneg-tiny").fit(*embedded)])
    with pytest.raises(InputTypeError, match="ScoreEnsemble"):
        display.from_estimator(ensemble, *embedded)
