import copy
import pickle
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skneg import CLIPImageEncoder, MCMDetector, SknegError
from skneg._fitting import calibration_scores
from skneg.bank import TextBank
from skneg.detectors._zoc import ZOCDetector
from skneg.errors import ImageError, InputError, VocabularyError
from skneg.images import CaptionedImages
from skneg.metrics import auroc

from ..conftest import KNOWN, STRANGE, random_unit


def nearest_words(images):
    """The three of all ten shapes that lie nearest to each image."""
    words = [*KNOWN, *STRANGE]
    detector = MCMDetector(model="skneg-tiny", templates="a drawing of a {}")
    cosines = CLIPImageEncoder(model="skneg-tiny").transform(images) @ detector._embed_names(words).T
    return [[words[i] for i in row] for row in np.argsort(-cosines, axis=1)[:, :3]]


def same_words(images):
    return [["fish", "crown", "Star", "fish", " FISH ", ""]] * len(images)


def zoc(candidate_labels=nearest_words, **parameters) -> ZOCDetector:
    return ZOCDetector(model="skneg-tiny", candidate_labels=candidate_labels, **parameters)


@pytest.fixture(scope="module")
def fitted(scenes):
    return zoc().fit(*scenes)


def state_of(bank, names):
    """As much of a fitted state as a score reads."""
    return SimpleNamespace(text_bank_=bank, class_names_=list(names))


class TestScore:
    @pytest.mark.parametrize("temperature", [1e-4, 0.01, 1.0, 1e4])
    def test_closed_form_on_random_cosines(self, temperature):
        rng = np.random.default_rng(0)

        unit = partial(random_unit, rng)
        vectors = dict(zip("uvwxyz", unit(6), strict=True))
        bank = TextBank.from_positives(unit(4))
        words = [(), ("u",), ("u", "v", "x", "y", "z"), ("w", "v"), ("w",)]
        Z = CaptionedImages(unit(5), words, vectors)
        scores = ZOCDetector(score_temperature=temperature)._score(state_of(bank, "Abcw"), Z)
        for embedding, own, score in zip(Z.embeddings, words, scores, strict=True):
            rest = [vectors[word] for word in own if word != "w"]
            z = (np.stack([*bank.positive, *rest]).astype(np.float64) @ embedding) / temperature
            share = np.exp(z - z.max())
            outside = share[4:].sum() / share.sum()
            if not rest:
                assert score == 0
            elif 1e-200 < outside < 1 - 1e-12:
                np.testing.assert_allclose(score, np.log1p(-outside), rtol=1e-6 * max(1, 0.5 / temperature))
            assert np.isfinite(score)

    def test_shares_that_round_to_one_keep_their_order(self):
        bank = TextBank.from_positives(np.eye(3, dtype=np.float32))
        towards = np.array([0.0, 0.1, 0.2], dtype=np.float32)
        embeddings = np.stack([np.sqrt(1 - towards**2), np.zeros(3), towards], axis=1).astype(np.float32)
        Z = CaptionedImages(embeddings, [("d",)] * 3, {"d": np.array([0, 0, 0.9], dtype=np.float32)})
        scores = ZOCDetector(score_temperature=0.01)._score(state_of(bank, "abc"), Z)
        assert np.exp(scores[0]) == 1
        assert scores[0] > scores[1] > scores[2]

    def test_scores_on_images(self, scenes):
        X = scenes[0][:6]
        detector = zoc(same_words).fit(*scenes)
        tower = detector._backbone().text_tower
        texts = tower.encode([f"a photo of a {name}" for name in [*sorted(KNOWN), "fish", "crown"]])
        z = CLIPImageEncoder(model="skneg-tiny").transform(X).astype(np.float64) @ texts.T / 0.01
        share = np.exp(z - z.max(axis=1, keepdims=True))
        expected = np.log(share[:, :6].sum(axis=1) / share.sum(axis=1))
        np.testing.assert_allclose(detector.score_samples(X), expected, atol=1e-4)

    def test_words_that_fit_find_the_unknown(self, fitted, scenes, strange_scenes):
        plain = MCMDetector(model="skneg-tiny").fit(*scenes)
        with_words = auroc(fitted.score_samples(scenes[0]), fitted.score_samples(strange_scenes))
        assert with_words > 0.95
        assert with_words > auroc(plain.score_samples(scenes[0]), plain.score_samples(strange_scenes))

    def test_scores_do_not_depend_on_batches_or_order(self, fitted, scenes):
        X = scenes[0][:20]
        whole = fitted.score_samples(X)
        alone = np.concatenate([fitted.score_samples(x[None]) for x in X])
        np.testing.assert_allclose(alone, whole, atol=1e-4)
        np.testing.assert_allclose(fitted.score_samples(X[::-1])[::-1], whole, atol=1e-4)

    def test_images_without_words_score_zero(self, scenes):
        detector = zoc(lambda images: [[] for _ in images]).fit(*scenes)
        assert (detector.score_samples(scenes[0][:5]) == 0).all()
        assert set(detector.predict(scenes[0])) <= set(KNOWN)


class TestCalls:
    def test_the_callable_gets_batches_of_pictures_in_order(self, scenes):
        seen = []

        def watch(images):
            assert isinstance(images, list)
            seen.append(list(images))
            return same_words(images)

        detector = zoc(watch, batch_size=50).fit(*scenes)
        assert [len(batch) for batch in seen] == [50, 50, 20]
        pictures = [image for batch in seen for image in batch]
        assert all(isinstance(p, Image.Image) and p.mode == "RGB" for p in pictures)
        np.testing.assert_array_equal(np.stack([np.asarray(p) for p in pictures]), scenes[0])
        seen.clear()
        detector.predict(scenes[0][:10])
        assert len(seen) == 1  # the labels and the score of one call see the same words

    def test_each_distinct_word_is_encoded_once_per_call(self, scenes, monkeypatch):
        detector = zoc(same_words).fit(*scenes)
        encoded = []
        original = ZOCDetector._embed_names

        def watch(self, names):
            encoded.append(list(names))
            return original(self, names)

        monkeypatch.setattr(ZOCDetector, "_embed_names", watch)
        detector.predict(scenes[0][:10])
        assert encoded == [["fish", "crown", "Star"]]

    def test_set_vocabulary_asks_no_captions(self, scenes):
        detector = zoc().fit(*scenes)
        detector.candidate_labels = lambda images: pytest.fail("it asks")
        assert np.isfinite(detector.set_vocabulary(STRANGE).offset_)


class TestFitting:
    def test_labels_are_not_needed(self, fitted, scenes):
        alone = zoc().fit(scenes[0], class_names=sorted(KNOWN))
        assert alone.offset_ == fitted.offset_

    def test_rows_of_the_unknown_label_are_not_used(self, fitted, scenes, strange_scenes):
        X, y = scenes
        mixed = zoc().fit(np.concatenate([strange_scenes, X]), ["unknown"] * len(strange_scenes) + list(y))
        assert len(mixed.calibration_embeddings_) == len(X)
        assert mixed.offset_ == pytest.approx(fitted.offset_, rel=1e-3)

    def test_clone_and_pickle(self, fitted, scenes):
        assert clone(fitted).candidate_labels is nearest_words
        again = pickle.loads(pickle.dumps(fitted))
        np.testing.assert_array_equal(again.score_samples(scenes[0][:9]), fitted.score_samples(scenes[0][:9]))

    def test_a_bank_of_classes(self, fitted, scenes):
        ready = zoc(text_bank=fitted.text_bank_.positive).fit(*scenes)
        np.testing.assert_allclose(
            ready.score_samples(scenes[0][:9]), fitted.score_samples(scenes[0][:9]), atol=1e-4
        )

    def test_progress_is_shown_on_request(self, scenes, capfd):
        zoc(verbose=True).fit(*scenes)
        assert "captioning images" in capfd.readouterr().err


class TestPredicting:
    def test_unknown_where_the_decision_is_negative(self, fitted, scenes, strange_scenes):
        X = np.concatenate([scenes[0], strange_scenes])
        answers, decision = fitted.predict(X), fitted.decision_function(X)
        np.testing.assert_array_equal(answers == "unknown", decision < 0)
        assert (answers[len(scenes[0]) :] == "unknown").mean() > 0.8
        assert (answers[: len(scenes[0])] == "unknown").mean() <= fitted.contamination
        np.testing.assert_allclose(fitted.predict_proba(X).sum(axis=1), 1)
        plain = MCMDetector(model="skneg-tiny").fit(*scenes)
        np.testing.assert_allclose(fitted.predict_proba(X), plain.predict_proba(X), atol=1e-4)


class TestVocabulary:
    def test_words_that_become_classes_no_longer_count(self, fitted, scenes, strange_scenes):
        moved = copy.deepcopy(fitted).set_vocabulary(STRANGE)
        assert moved.classes_.tolist() == sorted(STRANGE)
        assert auroc(moved.score_samples(strange_scenes), moved.score_samples(scenes[0])) > 0.95
        both = copy.deepcopy(fitted).set_vocabulary([*KNOWN, *STRANGE])
        assert (both.score_samples(strange_scenes) == 0).all()

    def test_calibration_adds_the_own_class_of_each_image(self, fitted):
        moved = copy.deepcopy(fitted).set_vocabulary(STRANGE)
        kept = moved._state.calibrator
        scores = calibration_scores(moved, moved._state, kept.images, kept.names)
        for name in ("star", "key"):
            rows = np.array(moved.calibration_names_) == name
            own = copy.deepcopy(fitted).set_vocabulary([*STRANGE, name])
            expected = own._score(own._state, own.calibration_embeddings_[rows])
            np.testing.assert_allclose(scores[rows], expected, rtol=1e-3, atol=1e-9)

    def test_going_back_restores_everything(self, fitted):
        moved = copy.deepcopy(fitted).set_vocabulary(STRANGE).set_vocabulary(fitted.class_names_)
        assert moved.offset_ == pytest.approx(fitted.offset_, rel=1e-3)

    def test_bad_names_change_nothing(self, fitted):
        state = dict(vars(fitted))
        with pytest.raises(VocabularyError, match="duplicate"):
            fitted.set_vocabulary(["a", "a"])
        assert vars(fitted) == state


def cut(images):
    return same_words(images)[:-1]


class TestBadInput:
    @pytest.mark.parametrize("given", [None, "blip", ["fish"]])
    def test_candidate_labels_must_be_callable(self, scenes, given):
        with pytest.raises(InputError, match="candidate_labels must be a function"):
            zoc(given).fit(*scenes)

    @pytest.mark.parametrize(
        ("answer", "message"),
        [
            (cut, "63 lists of words for 64 images; image 63 has none"),
            (
                lambda images: [*same_words(images), []],
                "65 lists of words for 64 images; image 63 is the last",
            ),
            (lambda images: None, "returned NoneType for images 0 to 63"),
            (lambda images: "fish", "returned str for images 0 to 63"),
            (lambda images: (row for row in same_words(images)), "returned generator"),
            (lambda images: [["fish"], ["fish", 3], *same_words(images)[2:]], "image 1 the word 3"),
            (lambda images: [["fish"], "fish", *same_words(images)[2:]], "image 1 'fish', expected a list"),
            (lambda images: [["fish"], None, *same_words(images)[2:]], "image 1 None"),
        ],
    )
    def test_answers_of_the_callable_are_checked(self, scenes, answer, message):
        detector = zoc(answer)
        with pytest.raises(InputError, match=message) as caught:
            detector.fit(*scenes)
        assert isinstance(caught.value, SknegError)
        assert not hasattr(detector, "classes_")

    def test_images_are_counted_over_all_batches(self, scenes):
        def fails_late(images):
            return same_words(images) if len(images) == 50 else [*same_words(images)[1:], [None]]

        with pytest.raises(InputError, match="image 119 the word None"):
            zoc(fails_late, batch_size=50).fit(*scenes)

    def test_a_word_too_long_is_named(self, scenes):
        with pytest.raises(VocabularyError, match="too long: .*fish fish"):
            zoc(lambda images: [["fish " * 40]] * len(images)).fit(*scenes)

    def test_embeddings_are_refused_with_the_reason(self, fitted, embedded):
        with pytest.raises(InputError, match="X holds embeddings, but ZOCDetector needs images"):
            zoc().fit(*embedded)
        with pytest.raises(InputError, match="needs images"):
            fitted.score_samples(embedded[0])

    def test_preprocessed_tensors_are_refused(self, fitted):
        import torch

        with pytest.raises(InputError, match="image 0 is a float tensor"):
            fitted.predict(torch.zeros(2, 3, 64, 64))

    def test_an_unreadable_image_is_named(self, fitted, scenes):
        with pytest.raises(ImageError, match="image 2 ") as caught:
            fitted.predict([*scenes[0][:2], b"broken"])
        assert caught.value.index == 2

    def test_a_bank_of_another_width_is_named(self, scenes):
        with pytest.raises(InputError, match="20 columns, but model='skneg-tiny'.*has 128"):
            zoc(text_bank=np.ones((6, 20))).fit(*scenes)

    def test_unfitted_use_is_refused(self, scenes):
        with pytest.raises(NotFittedError):
            zoc().predict(scenes[0])
