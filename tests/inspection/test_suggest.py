"""Names for the unknown."""

import numpy as np
import pytest

from skneg import GLMCMDetector, KNNDetector, MCMDetector, NegPromptDetector, TextBank
from skneg.datasets import SHAPE_NAMES, load_words, make_scenes
from skneg.encoder import CLIPImageEncoder
from skneg.errors import InputError, InputTypeError, VocabularyError
from skneg.inspection import Suggestions, _suggest, suggest_classes

from ..conftest import KNOWN

NEW = ["fish", "tree"]


@pytest.fixture(scope="module")
def unknown():
    """Embeddings of 20 fish and 20 trees, and which they are."""
    X, y = make_scenes(40, shapes=NEW, random_state=1)
    return CLIPImageEncoder(model="skneg-tiny").transform(X), y


@pytest.fixture(scope="module")
def suggested(negprompt, unknown):
    return suggest_classes(negprompt, unknown[0], SHAPE_NAMES, n=4)


def around(axes, n, d=8, noise=0.1, seed=0):
    """n unit rows around each axis."""
    rows = np.repeat(np.eye(d)[axes], n, axis=0)
    rows = rows + noise * np.random.RandomState(seed).normal(size=rows.shape)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def of_axes(**parameters):
    """A detector of two classes around the first two of eight axes."""
    bank = TextBank.from_positives(np.eye(2, 8, dtype=np.float32))
    detector = MCMDetector(text_bank=bank, model="no such model", **parameters)
    return detector.fit(around([0, 1], 20, seed=1), np.repeat(["cat", "dog"], 20))


AXES = ([f"axis {row}" for row in range(8)], np.eye(8))


class TestGroups:
    def test_are_the_new_classes_and_have_their_names(self, suggested, unknown):
        y = unknown[1]
        assert sorted(suggested.words[:, 0]) == NEW
        for group, name in enumerate(suggested.words[:, 0]):
            assert (y[suggested.groups == group] == name).all()
        assert (suggested.share > 0.8).all()

    def test_fit_together(self, suggested):
        assert suggested.words.shape == suggested.cosines.shape == (len(suggested), 4)
        assert (np.diff(suggested.cosines, axis=1) <= 0).all()
        assert (np.diff(suggested.support) <= 0).all()
        for group, rows in enumerate(suggested.images):
            assert sorted(rows) == np.flatnonzero(suggested.groups == group).tolist()
            assert len(rows) == suggested.support[group] >= suggested.min_images

    def test_are_the_same_again_and_for_images(self, negprompt, unknown, suggested):
        images, _ = make_scenes(40, shapes=NEW, random_state=1)
        again = suggest_classes(negprompt, images, SHAPE_NAMES, n=4)
        assert (again.groups == suggested.groups).all()
        assert (again.words == suggested.words).all()

    def test_one_kind_is_one_group(self, negprompt, unknown):
        X, y = unknown
        found = suggest_classes(negprompt, X[y == "fish"], SHAPE_NAMES, 1)
        assert len(found) == 1
        assert found.words.tolist() == [["fish"]]
        assert found.support[0] >= 15

    def test_copies_are_a_group(self):
        X = np.repeat(around([5], 1), 6, axis=0)
        found = suggest_classes(of_axes(), X, AXES, 1)
        assert found.groups.tolist() == [0] * 6
        assert found.words.tolist() == [["axis 5"]]
        assert found.share.tolist() == [1]

    def test_the_largest_comes_first_and_small_ones_are_none(self):
        X = np.concatenate([around([4], 3), around([6], 5), around([7], 2)])
        found = suggest_classes(of_axes(), X, AXES, 1)
        assert found.groups.tolist() == [1] * 3 + [0] * 5 + [-1] * 2
        assert found.words.tolist() == [["axis 6"], ["axis 4"]]
        assert len(suggest_classes(of_axes(), X, AXES, 1, min_images=2)) == 3

    def test_the_most_typical_image_is_the_nearest_to_the_mean(self):
        X = around([4], 9, noise=0.2)
        rows = suggest_classes(of_axes(), X, AXES, 1, min_cosine=-0.9).images[0]
        mean = X.mean(axis=0)
        assert rows.tolist() == np.argsort(-(X @ mean)).tolist()


class TestFewImages:
    @pytest.mark.parametrize("n", [1, 2])
    def test_are_an_answer(self, n, mcm, unknown):
        found = suggest_classes(mcm, unknown[0][:n], SHAPE_NAMES, n=3)
        assert len(found) == 0
        assert found.groups.tolist() == [-1] * n
        assert found.words.shape == found.cosines.shape == (0, 3)
        assert str(found).startswith(f"no group: of {n} images no 3 are alike")
        assert found.to_dict()["images"] == []
        assert len(found.to_frame()) == 0

    def test_one_may_be_a_group(self, mcm, unknown):
        found = suggest_classes(mcm, unknown[0][:1], SHAPE_NAMES, n=1, min_images=1)
        assert found.words.tolist() == [[unknown[1][0]]]

    def test_images_that_are_unlike_each_other_are_in_no_group(self):
        found = suggest_classes(of_axes(), np.eye(8)[2:], AXES, 1)
        assert len(found) == 0
        assert (found.groups == -1).all()

    def test_no_image_is_an_error(self, mcm):
        with pytest.raises(InputError, match="0 sample"):
            suggest_classes(mcm, np.empty((0, 128), dtype=np.float32))


class TestWords:
    def test_are_the_shipped_nouns_by_default(self, mcm, unknown):
        found = suggest_classes(mcm, unknown[0])
        assert set(found.words.ravel()) <= set(load_words("nouns"))
        assert found.words.shape[1] == 10

    def test_known_names_and_plurals_are_left_out(self):
        kept = _suggest._unlike(
            ["Cat", "cats", "bus", "buses", "lady", "ladies", "hot-dog", "catfish", "glass"],
            ["cat", "buses", "ladies", "hot_dog"],
        )
        assert kept == [7, 8]

    def test_only_known_names_is_an_error(self, mcm):
        with pytest.raises(VocabularyError, match="no word is left"):
            suggest_classes(mcm, np.eye(2, 128), KNOWN)

    def test_ready_embeddings_need_no_text_tower(self):
        X = around([0, 1, 2, 3], 10)
        knn = KNNDetector(model="no such model").fit(X[:20], np.repeat(["a", "b"], 10))
        found = suggest_classes(knn, X[20:], dict(zip(*AXES, strict=True)), 2)
        assert sorted(found.words[:, 0]) == ["axis 2", "axis 3"]
        assert found.nearest_class is None
        assert "nearest class" not in str(found)

    def test_a_group_that_is_a_known_class_shows_it(self):
        found = suggest_classes(of_axes(), around([1], 5), AXES, 1)
        assert found.nearest_class.tolist() == ["dog"]
        found = suggest_classes(of_axes(), around([1], 5), (AXES[0][2:], AXES[1][2:]), 1)
        assert found.class_cosine[0] > found.cosines[0, 0]

    @pytest.mark.parametrize(
        ("parameters", "error", "message"),
        [
            ({"words": "star"}, InputTypeError, "words must be a sequence of words.*got 'star'"),
            ({"words": 7}, InputTypeError, "words must be a sequence of words"),
            ({"words": ["star", "star"]}, VocabularyError, "words has 'star' twice"),
            ({"words": (["x"], np.ones((1, 3)))}, InputError, "3 columns, the detector's have 128"),
            ({"words": ["x " * 40]}, VocabularyError, "words has a word that is too long"),
            ({"n": 0}, InputError, "n must be"),
            ({"min_images": 0}, InputError, "min_images must be"),
            ({"min_cosine": 1.5}, InputError, "min_cosine must lie between"),
            ({"evidence": "text"}, InputError, "evidence must be one of"),
            ({"template": "a photo"}, InputError, "template"),
        ],
    )
    def test_unusable_parameters_are_refused(self, mcm, unknown, parameters, error, message):
        with pytest.raises(error, match=message):
            suggest_classes(mcm, unknown[0], **parameters)


class TestWhatIsAlike:
    def test_comes_from_the_known_classes(self):
        loose, tight = around([0, 1, 2], 20, noise=0.2), around([0, 1, 2], 20, noise=0.02)
        labels = np.repeat([0, 1, 2], 20)
        quality, cosine = _suggest._cosine_of_classes(loose - loose.mean(axis=0), labels)
        assert quality == 1
        assert cosine < _suggest._cosine_of_classes(tight - tight.mean(axis=0), labels)[1]

    def test_has_a_default_where_one_class_is_known(self):
        X = around([0], 20)
        knn = KNNDetector(model="no such model").fit(X, ["a"] * 20)
        found = suggest_classes(knn, around([3, 4], 9), AXES, 1)
        assert (found.min_cosine, found.evidence) == (0.3, "images")
        assert sorted(found.words[:, 0]) == ["axis 3", "axis 4"]

    def test_words_take_part_where_they_tell_the_known_classes_apart(self):
        rng = np.random.RandomState(0)
        noise = np.zeros((60, 30))
        noise[:, 6:] = rng.normal(scale=0.5, size=(60, 24))  # which no word names
        X = np.eye(6, 30).repeat(10, axis=0) + noise
        bank = TextBank.from_positives(np.eye(3, 30, dtype=np.float32))
        detector = MCMDetector(text_bank=bank, model="no such model")
        detector.fit(X[:30], np.repeat(["cat", "cow", "dog"], 10))
        words = ([f"axis {row}" for row in range(6)], np.eye(6, 30))
        found = suggest_classes(detector, X[30:], words, 1)
        assert found.evidence == "both"
        assert found.groups.tolist() == np.repeat(found.groups[[0, 10, 20]], 10).tolist()
        assert found.words[found.groups[[0, 10, 20]], 0].tolist() == ["axis 3", "axis 4", "axis 5"]

    def test_can_be_said(self, mcm, unknown):
        found = suggest_classes(mcm, unknown[0], SHAPE_NAMES, min_cosine=-0.99, evidence="images")
        assert found.support.tolist() == [40]
        assert (found.min_cosine, found.evidence) == (-0.99, "images")
        both = suggest_classes(mcm, unknown[0], SHAPE_NAMES, evidence="both")
        assert both.evidence == "both"
        assert sorted(both.words[:, 0]) == NEW


def test_the_threshold_may_come_from_images_without_labels(unknown, embedded):
    X, y = embedded
    detector = MCMDetector(model="skneg-tiny", class_names=sorted(set(y))).fit(X)
    assert sorted(suggest_classes(detector, unknown[0], SHAPE_NAMES, 1).words[:, 0]) == NEW


def test_patches_count_as_whole_images(scenes, suggested):
    images, _ = make_scenes(40, shapes=NEW, random_state=1)
    detector = GLMCMDetector(model="skneg-tiny").fit(*scenes)
    assert sorted(suggest_classes(detector, images, SHAPE_NAMES, 1).words[:, 0]) == NEW


def test_too_many_images_are_refused(mcm, unknown, monkeypatch):
    monkeypatch.setattr(_suggest, "_MOST", 39)
    with pytest.raises(InputError, match="X has 40 images, more than 39 to group: give a sample"):
        suggest_classes(mcm, unknown[0], SHAPE_NAMES)


def test_the_new_class_is_known_once_it_is_named(embedded, unknown):
    detector = NegPromptDetector(model="skneg-tiny", random_state=0).fit(*embedded)
    X = unknown[0][detector.decision_function(unknown[0]) < 0]
    found = suggest_classes(detector, X, SHAPE_NAMES)
    new = X[found.groups == 0]
    name = str(found.words[0, 0])
    detector.set_vocabulary([*detector.class_names_, name], X=new, y=[name] * len(new))
    assert (detector.predict(new) == name).mean() > 0.7


def test_a_table_says_what_there_is(suggested):
    lines = str(suggested).split("\n")
    assert lines[0].split(" | ")[0] == "group"
    assert lines[-1] == f"{(suggested.groups < 0).sum()} of 40 images are in no group"
    assert repr(suggested) == str(suggested)
    assert isinstance(suggested, Suggestions)
    assert {len(values) for values in suggested.to_dict().values()} == {len(suggested)}
    frame = suggested.to_frame()
    assert len(frame) == 4 * len(suggested)
    assert frame["rank"].tolist()[:4] == [1, 2, 3, 4]
    assert {"group", "support", "share", "nearest_class", "word", "cosine"} <= set(frame)
