"""The displays that compare images with prompts."""

import numpy as np
import pytest

from skneg import CLIPImageEncoder, GLMCMDetector, KNNDetector, MCMDetector, ODINDetector, ScoreEnsemble
from skneg.errors import InputError, InputTypeError
from skneg.plotting import EmbeddingMapDisplay, SimilarityDisplay

BOTH = [SimilarityDisplay, EmbeddingMapDisplay]


def test_similarities_are_the_largest_cosines(detector, embedded, strange):
    display = SimilarityDisplay.from_estimator(detector, *embedded, ood={"strange": strange})
    frame = display.frame()
    bank = detector.text_bank_
    for name, X in (("ID", embedded[0]), ("strange", strange)):
        for side in ("positive", "negative"):
            rows = frame[(frame["set"] == name) & (frame["prompts"] == side)]
            np.testing.assert_allclose(rows["cosine"], (X @ getattr(bank, side).T).max(axis=1), atol=1e-6)
            np.testing.assert_array_equal(rows["image"], np.arange(len(X)))
    assert set(display.boxes_) == {(n, s) for n in ("ID", "strange") for s in ("positive", "negative")}
    given = SimilarityDisplay.from_predictions(
        (embedded[0] @ bank.positive.T, embedded[0] @ bank.negative.T),
        {"strange": (strange @ bank.positive.T, strange @ bank.negative.T)},
    )
    np.testing.assert_allclose(given.frame()["cosine"], frame["cosine"], atol=1e-6)


def test_the_printed_number_is_the_mean(detector, embedded):
    display = SimilarityDisplay.from_estimator(detector, *embedded)
    means = [f"{values.mean():.2f}" for values in display.similarities["ID"]]
    assert [text.get_text() for text in display.ax_.texts] == means


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


def test_cosines_must_be_images_by_prompts_with_negatives_everywhere_or_nowhere():
    with pytest.raises(InputError, match="'OOD'.*2-D"):
        SimilarityDisplay.from_predictions((np.ones((3, 2)), None), (np.ones(3), None))
    with pytest.raises(InputError, match="for all sets"):
        SimilarityDisplay.from_predictions((np.ones((3, 2)), None), (np.ones((3, 2)), np.ones((3, 2))))


def test_the_same_seed_gives_the_same_map(detector, embedded, strange):
    one, other, third = (
        EmbeddingMapDisplay.from_estimator(
            detector, embedded[0], ood=strange, max_per_set=40, random_state=seed
        ).frame()
        for seed in (0, 0, 1)
    )
    assert one.equals(other)
    assert not one["row"].equals(third["row"])


def test_the_legend_says_what_was_left_out(detector, embedded, strange):
    display = EmbeddingMapDisplay.from_estimator(
        detector, embedded[0], ood={"strange": strange}, max_per_set=100, random_state=0
    )
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels[:2] == ["ID images (100 of 120)", "strange images (80)"]
    rows = display.frame().query("set == 'ID'")["row"]
    assert rows.is_unique
    assert rows.between(0, 119).all()


def test_centring_puts_prompts_among_the_images_of_their_class(detector, embedded):
    X, y = embedded

    def share(center):
        display = EmbeddingMapDisplay.from_predictions(
            X, text_bank=detector.text_bank_, center=center, random_state=0
        )
        gaps = display.positive.places[:, None] - display.images["ID"].places[None]
        return np.mean(y[np.linalg.norm(gaps, axis=2).argmin(axis=1)] == detector.classes_)

    assert share(center=True) == 1
    assert share(center=False) < 1


def test_embeddings_must_have_the_banks_width(detector, embedded):
    with pytest.raises(InputError, match="128 columns"):
        EmbeddingMapDisplay.from_predictions(embedded[0][:, :5], text_bank=detector.text_bank_)
    with pytest.raises(InputTypeError, match="text_bank"):
        EmbeddingMapDisplay.from_predictions(embedded[0], text_bank=detector.text_bank_.positive)
    with pytest.raises(InputError, match="max_per_set"):
        EmbeddingMapDisplay.from_estimator(detector, embedded[0], max_per_set=0)
