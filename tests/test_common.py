"""Every detector of the registry against every promise of the shared interface."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import skneg
from skneg import CLIPImageEncoder, Words
from skneg.datasets import COLORS, SHAPE_NAMES, make_scenes
from skneg.errors import ImageError, InputError, SknegError, VocabularyError
from skneg.prompts import CoOpRecipe, PromptRecipe

from .conftest import KNOWN, STRANGE, takes


def words_for(images):
    """Stands in for a caption model; module-level, so that detectors with it can be pickled."""
    return [["fish", "tree"] if np.asarray(image).mean() > 120 else ["ladder"] for image in images]


COOP = {"recipe": CoOpRecipe(n_epochs=2, n_ctx=4)}
QUICK = {
    "NegPromptDetector": {"recipe": PromptRecipe(positive_steps=5, negative_steps=5)},
    "CoOpDetector": COOP,
    "LoCoOpDetector": COOP,
    "SCTDetector": COOP,
    "LSNDetector": COOP,
    "IDLikeDetector": {**COOP, "n_negative": 4, "n_crops": 4, "n_parts": 2},
    "LocalPromptDetector": {**COOP, "n_negative": 4},
    "FADetector": {"recipe": CoOpRecipe(n_epochs=2, n_ctx=None, context_init="a photo of a")},
    "EOEDetector": {"outlier_names": ["circle", "square", "hexagon"]},
    "NegLabelDetector": {"words": Words(SHAPE_NAMES, fraction=0.5, max_cosine=1.01), "n_groups": 3},
    "CSPDetector": {
        "words": Words(SHAPE_NAMES, fraction=0.5, max_cosine=0.95),
        "adjectives": list(COLORS),
        "superclasses": ["thing"],
        "n_groups": 3,
    },
    "NegRefineDetector": {
        "words": Words(SHAPE_NAMES, fraction=0.5, max_cosine=0.95),
        "adjectives": list(COLORS),
        "superclasses": ["thing"],
        "n_groups": 3,
        "dropped_words": ["circle", "red thing"],
    },
    "InterNegDetector": {"n_words": 200},
    "ZOCDetector": {"candidate_labels": words_for},
}

# Who cannot keep a promise, and why.
PIXELS = "works on pixels: embeddings are refused, which `test_embeddings_are_refused_with_the_reason` checks"
BY_IMAGES = "knows classes by their images, so new names are refused, which the same test checks"
OWN_PROMPTS = "learns prompts for each class, so new names are refused, which the same test checks"
KNOWN_BY_IMAGES = [
    "LinearProbeDetector", "KNNDetector", "MahalanobisDetector", "ResidualDetector", "ViMDetector",
    "NNGuideDetector", "GENDetector", "FDBDDetector", "TipAdapterDetector", "COOkeDDetector", "DPMDetector",
]  # fmt: skip
EXCUSED = {
    **{(name, "new names"): BY_IMAGES for name in KNOWN_BY_IMAGES},
    ("ODINDetector", "embeddings"): PIXELS,
    ("ZOCDetector", "embeddings"): PIXELS,
    ("IDLikeDetector", "embeddings"): PIXELS,
    ("LSNDetector", "new names"): OWN_PROMPTS,
}
NAMES = [info.name for info in skneg.list_detectors()]
LOCAL = {info.name for info in skneg.list_detectors() if info.needs == "local features"}


@pytest.fixture(scope="session")
def no_encoder(tmp_path_factory):
    """A "no" tower: the text tower itself, slightly disturbed; enough for the contract."""
    from skneg import train_no_encoder
    from skneg.datasets import make_scenes

    path = tmp_path_factory.mktemp("clipn") / "no.safetensors"
    X, _, captions = make_scenes(64, return_captions=True, random_state=0)
    train_no_encoder(X, list(captions), model="skneg-tiny", n_epochs=1, random_state=0, out=path)
    return path


def make_detector(name, no_encoder, **parameters):
    cls = getattr(skneg, name)
    common = takes(cls, model="skneg-tiny", random_state=0, no_encoder=str(no_encoder))
    return cls(**{**common, **QUICK.get(name, {}), **parameters})


@pytest.fixture
def build(no_encoder):
    def make(name, **parameters):
        return make_detector(name, no_encoder, **parameters)

    return make


@pytest.fixture(scope="session")
def fitted(scenes, no_encoder):
    """Each detector fitted once on images."""
    cache = {}

    def get(name):
        if name not in cache:
            cache[name] = make_detector(name, no_encoder).fit(*scenes)
        return cache[name]

    return get


def excuse(name, promise):
    if (name, promise) in EXCUSED:
        pytest.skip(f"{name}: {EXCUSED[name, promise]}")


def numbers(y):
    return np.searchsorted(sorted(KNOWN), y)


def test_the_registry_is_complete_and_the_excuses_are_of_it():
    assert len(NAMES) == len(set(NAMES)) == 34
    assert {name for name, _ in EXCUSED} <= set(NAMES)
    assert set(QUICK) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
class TestEveryDetector:
    def test_predicts_as_its_scores_say(self, name, fitted, scenes, strange_scenes):
        detector, X = fitted(name), np.concatenate([scenes[0], strange_scenes])
        scores, decision = detector.score_samples(X), detector.decision_function(X)
        posterior, answers = detector.predict_proba(X), detector.predict(X)
        assert scores.dtype == decision.dtype == posterior.dtype == np.float64
        assert np.isfinite(scores).all()
        assert scores.shape == decision.shape == (len(X),)
        np.testing.assert_allclose(scores - detector.offset_, decision, atol=1e-12)
        np.testing.assert_allclose(posterior.sum(axis=1), 1)
        assert posterior.shape == (len(X), len(KNOWN))
        expected = np.where(decision < 0, "unknown", detector.classes_[posterior.argmax(axis=1)])
        np.testing.assert_array_equal(answers, expected)
        known = scenes[1] == answers[: len(scenes[1])]
        assert known.mean() > 0.6

    def test_rejects_about_the_promised_share_of_its_calibration_images(self, name, fitted):
        detector = fitted(name)
        scores = detector.calibration_scores_
        assert (scores < detector.offset_).mean() <= detector.contamination

    def test_p_values_reject_as_it_does(self, name, fitted, scenes, strange_scenes):
        detector, X = fitted(name), np.concatenate([scenes[0], strange_scenes])
        p_values, scores = detector.p_values(X), detector.score_samples(X)
        n = len(detector.calibration_scores_)
        assert (np.diff(detector.calibration_scores_) >= 0).all()
        if n >= 19:
            np.testing.assert_array_equal(p_values <= 0.05 + 1e-9, scores < detector.offset_)
        assert p_values.min() >= 1 / (n + 1)
        assert p_values.max() <= 1
        assert (np.diff(p_values[np.argsort(scores)]) >= 0).all()

    def test_explains_what_it_answers(self, name, fitted, scenes, strange_scenes):
        detector, X = fitted(name), np.concatenate([scenes[0][:20], strange_scenes[:20]])
        why, posterior, rows = detector.explain(X), detector.predict_proba(X), np.arange(40)
        np.testing.assert_array_equal(why.answer, detector.predict(X))
        np.testing.assert_array_equal(why.score, detector.score_samples(X))
        np.testing.assert_array_equal(why.decision, detector.decision_function(X))
        np.testing.assert_array_equal(why.p_value, detector.p_values(X))
        first, second = numbers(why.nearest_class), numbers(why.second_class)
        np.testing.assert_array_equal(first, posterior.argmax(axis=1))
        assert (first != second).all()
        np.testing.assert_array_equal(why.nearest_posterior, posterior[rows, first])
        np.testing.assert_array_equal(why.second_posterior, np.sort(posterior, axis=1)[:, -2])
        np.testing.assert_array_equal(why.class_margin, why.nearest_posterior - why.second_posterior)
        if not detector.reads_names:
            assert why.nearest_cosine is why.negative is None
            return
        images, bank = CLIPImageEncoder(model="skneg-tiny").transform(X), detector.text_bank_
        cosines = images @ bank.positive.T
        np.testing.assert_allclose(why.nearest_cosine, cosines[rows, first], atol=1e-5)
        np.testing.assert_allclose(why.second_cosine, cosines[rows, second], atol=1e-5)
        if len(bank.negative) == 0:
            assert why.negative is why.negative_margin is None
            return
        np.testing.assert_allclose(why.negative_cosine, (images @ bank.negative.T).max(axis=1), atol=1e-5)
        np.testing.assert_allclose(why.negative_margin, why.nearest_cosine - why.negative_cosine)
        assert (why.negative_class is None) == (bank.per_class == 0)

    @pytest.mark.filterwarnings("ignore:50 images of X")
    def test_calibrates_without_training(self, name, fitted, scenes):
        X, y = scenes
        detector = pickle.loads(pickle.dumps(fitted(name)))
        before = detector.score_samples(X)
        detector.set_params(contamination=0.1).calibrate(X[:50], y[:50])
        np.testing.assert_array_equal(detector.score_samples(X), before)
        np.testing.assert_allclose(detector.calibration_scores_, np.sort(before[:50]), atol=1e-5)
        assert detector.offset_ == detector.calibration_scores_[4]
        assert detector.calibration_names_ == y[:50].tolist()
        kept = detector.offset_
        assert detector.calibrate().offset_ == pytest.approx(kept, abs=1e-6)

    def test_sets_of_classes_keep_the_right_one(self, name, fitted, scenes, strange_scenes):
        X, y = scenes
        sets = fitted(name).predict_set(X, alpha=0.1)
        assert sets.shape == (len(X), len(KNOWN))
        assert sets.dtype == bool
        assert sets[np.arange(len(X)), numbers(y)].mean() >= 0.8
        assert fitted(name).predict_set(X, alpha=0.5).sum() < sets.sum()

    def test_unknown_images_set_the_threshold(self, name, fitted, strange_scenes):
        detector = pickle.loads(pickle.dumps(fitted(name)))
        detector.calibrate_unknown(strange_scenes, accepted=0.1)
        assert (detector.predict(strange_scenes) != "unknown").mean() <= 0.1

    def test_more_images_of_known_classes(self, name, fitted, scenes):
        (X, y), more = scenes, make_scenes(8, shapes=KNOWN, random_state=7)
        detector = pickle.loads(pickle.dumps(fitted(name)))
        if name == "ZOCDetector":
            with pytest.raises(InputError, match="by calibrate"):
                detector.add_images(*more)
            return
        detector.add_images(*more)
        assert len(detector.calibration_scores_) >= len(fitted(name).calibration_scores_)
        assert (detector.predict(X) == y).mean() > 0.6

    def test_groups_of_a_copied_set(self, name, build, scenes):
        X, y = np.repeat(scenes[0], 2, axis=0), np.repeat(scenes[1], 2)
        groups = np.repeat(np.arange(len(y) // 2), 2)
        detector = build(name).fit(X, y, groups=groups)
        assert (detector.predict(scenes[0]) == scenes[1]).mean() > 0.6
        with pytest.raises(InputError, match="groups"):
            build(name).fit(X, y, groups=groups[1:])

    def test_embeddings_equal_images(self, name, build, fitted, scenes):
        excuse(name, "embeddings")
        X, y = scenes
        images = as_representation(name, X)
        twin = build(name).fit(images, y)
        np.testing.assert_allclose(twin.score_samples(images), fitted(name).score_samples(X), atol=1e-6)

    def test_scores_do_not_depend_on_batches_or_order(self, name, fitted, scenes):
        X = scenes[0][:30]
        whole = fitted(name).score_samples(X)
        parts = np.concatenate([fitted(name).score_samples(X[i : i + 7]) for i in range(0, 30, 7)])
        np.testing.assert_allclose(parts, whole, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(fitted(name).score_samples(X[::-1])[::-1], whole, rtol=1e-5, atol=1e-5)

    def test_same_seed_same_bits(self, name, build, fitted, scenes):
        again = build(name).fit(*scenes)
        np.testing.assert_array_equal(again.score_samples(scenes[0]), fitted(name).score_samples(scenes[0]))
        assert again.offset_ == fitted(name).offset_

    def test_clone_is_unfitted_and_has_the_parameters(self, name, fitted):
        twin = clone(fitted(name))
        assert twin.get_params().keys() == fitted(name).get_params().keys()
        with pytest.raises(NotFittedError):
            twin.predict(np.zeros((1, 128)))
        twin.set_params(contamination=0.2)
        assert twin.contamination == 0.2
        assert "contamination" in repr(twin)

    def test_a_pickle_scores_alike(self, name, fitted, scenes):
        data = pickle.dumps(fitted(name))
        assert b"open_clip.model" not in data
        again = pickle.loads(data)
        np.testing.assert_array_equal(
            again.score_samples(scenes[0][:9]), fitted(name).score_samples(scenes[0][:9])
        )

    def test_new_names(self, name, fitted, scenes, strange_scenes):
        moved = pickle.loads(pickle.dumps(fitted(name)))
        if (name, "new names") in EXCUSED:
            state = dict(vars(moved))
            with pytest.raises(VocabularyError, match="'crown'"):
                moved.set_vocabulary(STRANGE)
            assert vars(moved) == state
            pytest.skip(f"{name}: {EXCUSED[name, 'new names']}")
        moved.set_vocabulary(STRANGE)
        assert moved.classes_.tolist() == sorted(STRANGE)
        assert set(moved.predict(strange_scenes)) <= {*STRANGE, "unknown"}
        moved.set_vocabulary(fitted(name).class_names_)
        np.testing.assert_allclose(
            moved.score_samples(scenes[0][:9]), fitted(name).score_samples(scenes[0][:9]), atol=1e-5
        )
        assert moved.offset_ == pytest.approx(fitted(name).offset_, abs=1e-5)

    def test_fewer_names(self, name, fitted, scenes):
        fewer = pickle.loads(pickle.dumps(fitted(name))).set_vocabulary(KNOWN[:5])
        assert fewer.predict_proba(scenes[0][:5]).shape == (5, 5)

    def test_integer_labels(self, name, build, fitted, scenes):
        X, y = scenes
        detector = build(name, class_names=sorted(KNOWN)).fit(X, numbers(y))
        answers = detector.predict(X)
        assert answers.dtype.kind == "i"
        expected = fitted(name).predict(X)
        np.testing.assert_array_equal(
            answers[expected != "unknown"], numbers(expected[expected != "unknown"])
        )
        assert (answers[expected == "unknown"] == -1).all()

    def test_unknown_rows_are_not_fitted(self, name, build, fitted, scenes, strange_scenes):
        X, y = scenes
        mixed = build(name).fit(
            np.concatenate([strange_scenes, X]), np.concatenate([["unknown"] * len(strange_scenes), y])
        )
        np.testing.assert_allclose(mixed.score_samples(X), fitted(name).score_samples(X), atol=1e-5)

    def test_unknown_label_none_never_rejects(self, name, build, scenes, strange_scenes):
        detector = build(name, unknown_label=None).fit(*scenes)
        assert set(detector.predict(strange_scenes)) <= set(KNOWN)

    def test_bad_input_is_typed_and_changes_nothing(self, name, fitted, scenes):
        X, y = scenes
        detector = pickle.loads(pickle.dumps(fitted(name)))
        state = dict(vars(detector))
        with pytest.raises(SknegError, match="120 images, 119 labels"):
            detector.fit(X, y[:-1])
        with pytest.raises(ImageError, match="image 1 "):
            detector.fit([X[0], b"broken", *X[2:]], y)
        with pytest.raises(ImageError, match="image 2 "):
            detector.predict([*X[:2], b"broken"])
        if not detector.one_class:
            with pytest.raises(VocabularyError, match="at least 2 classes, got 1 class.*KNNDetector"):
                detector.fit(X, np.full(len(y), "star"))
        with pytest.raises(SknegError, match="contamination"):
            clone(detector).set_params(contamination=2).fit(X, y)
        assert vars(detector) == state


@pytest.mark.parametrize(
    "name", [name for name, promise in EXCUSED if promise == "embeddings"] + sorted(LOCAL)
)
def test_embeddings_are_refused_with_the_reason(name, build, embedded):
    with pytest.raises(SknegError, match="images"):
        build(name).fit(*embedded)


@pytest.mark.parametrize(
    "make",
    [
        lambda **p: skneg.NegPromptDetector(evidence="images", random_state=0, **p),
        lambda **p: skneg.KNNDetector(random_state=0, **p),
        lambda **p: skneg.MahalanobisDetector(random_state=0, **p),
        lambda **p: skneg.WordsDetector(**p),
    ],
    ids=["images", "neighbours", "distance", "words"],
)
def test_one_known_class_is_enough_for_what_compares_no_classes(make, scenes, strange_scenes, tmp_path):
    X, y = scenes
    stars = np.concatenate([X[y == "star"], make_scenes(100, shapes=["star"], random_state=5)[0]])
    new = make_scenes(60, shapes=["star"], random_state=6)[0]
    detector = make(model="skneg-tiny").fit(stars, np.full(len(stars), "star"))
    assert (detector.predict(new) == "star").mean() > 0.75
    assert (detector.predict(strange_scenes) == "unknown").mean() > 0.75
    np.testing.assert_array_equal(detector.predict_proba(new), np.ones((60, 1)))
    why = detector.explain(new[:3])
    assert why.second_class is None
    assert "star" in str(why)
    detector.save(tmp_path / "one.skneg")
    again = skneg.load(tmp_path / "one.skneg")
    np.testing.assert_array_equal(again.score_samples(new), detector.score_samples(new))


@pytest.mark.parametrize("name", [i.name for i in skneg.list_detectors() if i.training == "none"])
def test_what_learns_nothing_works_without_labels(name, build, fitted, scenes):
    detector = build(name).fit(scenes[0], class_names=sorted(KNOWN))
    np.testing.assert_allclose(
        detector.score_samples(scenes[0]), fitted(name).score_samples(scenes[0]), atol=1e-6
    )
    assert detector.offset_ == pytest.approx(fitted(name).offset_)


def as_representation(name, X):
    """What a detector takes in the place of images."""
    return CLIPImageEncoder(model="skneg-tiny", local=name in LOCAL).transform(X)
