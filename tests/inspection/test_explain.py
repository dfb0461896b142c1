import sys

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from skneg import (
    EOEDetector,
    KNNDetector,
    MCMDetector,
    NegLabelDetector,
    NegPromptDetector,
    PromptRecipe,
    TextBank,
    Words,
)
from skneg.datasets import SHAPE_NAMES, load_words
from skneg.errors import InputError, InputTypeError, MissingDependencyError, VocabularyError
from skneg.inspection import nearest_words

from ..conftest import KNOWN


@pytest.fixture(scope="module")
def negprompt(embedded):
    return NegPromptDetector(model="skneg-tiny", random_state=0).fit(*embedded)


@pytest.fixture(scope="module")
def mcm(embedded):
    return MCMDetector(model="skneg-tiny").fit(*embedded)


def by_hand(bank=None, **parameters):
    """A detector whose geometry can be worked out: classes on the first two axes."""
    positive = np.eye(2, 4, dtype=np.float32)
    bank = TextBank.from_positives(positive) if bank is None else bank
    X = np.repeat(positive, 20, axis=0)
    return MCMDetector(text_bank=bank, **parameters).fit(X, np.repeat(["cat", "dog"], 20))


BANK = TextBank(
    np.eye(2, 4, dtype=np.float32),
    np.array([[0, 0, 1, 0], [0, 0, 0, 1], [0, 0, -1, 0], [0, 0, 0, -1]], dtype=np.float32),
    per_class=2,
)


class TestExplain:
    def test_numbers_of_a_known_geometry(self):
        why = by_hand(BANK).explain(np.array([[0.6, 0.48, 0.0, -0.64], [0.0, 1.0, 0.0, 0.0]]))
        assert why.nearest_class.tolist() == ["cat", "dog"]
        assert why.second_class.tolist() == ["dog", "cat"]
        np.testing.assert_allclose(why.nearest_cosine, [0.6, 1.0], atol=1e-6)
        np.testing.assert_allclose(why.second_cosine, [0.48, 0.0], atol=1e-6)
        assert why.negative.tolist() == [3, 0]
        assert why.negative_class.tolist() == ["dog", "cat"]
        assert why.negative_name.tolist() == ["dog [1]", "cat [0]"]
        np.testing.assert_allclose(why.negative_cosine, [0.64, 0.0], atol=1e-6)
        np.testing.assert_allclose(why.negative_margin, [-0.04, 1.0], atol=1e-6)
        assert why.answer.tolist() == ["unknown", "dog"]
        assert why.p_value[0] == 1 / 41
        assert why.decision[0] < 0

    def test_unknown_images_still_have_a_nearest_class(self, negprompt, strange_scenes):
        why = negprompt.explain(strange_scenes)
        rejected = why.answer == "unknown"
        assert rejected.mean() > 0.5
        assert set(why.nearest_class[rejected]) <= set(KNOWN)
        assert (why.nearest_class[~rejected] == why.answer[~rejected]).all()

    def test_strange_images_are_nearer_to_negatives(self, negprompt, embedded, strange_scenes):
        known, strange = negprompt.explain(embedded[0]), negprompt.explain(strange_scenes)
        assert np.median(known.negative_margin) > np.median(strange.negative_margin) + 0.05

    def test_negatives_that_are_words_are_named(self, embedded, strange_scenes):
        for detector in (
            NegLabelDetector(
                model="skneg-tiny",
                words=Words(SHAPE_NAMES, fraction=0.5, max_cosine=1.01),
                random_state=0,
            ),
            EOEDetector(model="skneg-tiny", outlier_names=["fish", "ladder", "crown", "tree"]),
        ):
            why = detector.fit(*embedded).explain(strange_scenes)
            names = getattr(detector, "negative_words_", None) or detector.outlier_names_
            assert why.negative_name.tolist() == [names[row] for row in why.negative]
            assert why.negative_class is None
            assert "ladder" in why.negative_name

    def test_what_a_detector_lacks_is_left_out(self, mcm, embedded):
        assert mcm.explain(embedded[0][:2]).negative_cosine is None
        assert "negative" not in mcm.explain(embedded[0][:2]).to_dict()
        why = KNNDetector(random_state=0).fit(*embedded).explain(embedded[0][:2])
        assert why.nearest_cosine is None
        assert why.negative is None
        assert set(why.to_dict()) == {
            "image", "answer", "score", "decision", "p_value", "nearest_class", "nearest_posterior",
            "second_class", "second_posterior", "class_margin",
        }  # fmt: skip

    def test_unknown_label_none_always_answers_a_class(self, embedded, strange_scenes):
        detector = MCMDetector(model="skneg-tiny", unknown_label=None).fit(*embedded)
        why = detector.explain(strange_scenes)
        np.testing.assert_array_equal(why.answer, why.nearest_class)
        assert (why.decision < 0).any()

    def test_rows_and_frames_have_the_same_numbers(self, negprompt, embedded):
        why = negprompt.explain(embedded[0])
        assert len(why) == len(list(why)) == 120
        assert why[-1].score.tolist() == [why.score[-1]]
        np.testing.assert_array_equal(why[why.decision < 0].negative, why.negative[why.decision < 0])
        with pytest.raises(IndexError):
            why[120]
        frame = why.to_frame()
        assert list(frame) == list(why.to_dict())
        np.testing.assert_array_equal(frame["negative_class"], why.negative_class)

    def test_it_prints_a_table_of_a_few_images(self, negprompt, embedded):
        lines = str(negprompt.explain(embedded[0])).split("\n")
        assert len(lines) == 12
        assert lines[-1].startswith("... and 110 more")
        few = negprompt.explain(embedded[0][:2])
        assert len(str(few).split("\n")) == 3
        assert few.nearest_class[1] in str(few)
        assert f"{few.negative_name[1]} (cos {few.negative_cosine[1]:.3f})" in str(few)

    def test_frames_without_pandas_say_what_to_install(self, mcm, embedded, monkeypatch):
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(MissingDependencyError, match="pip install pandas"):
            mcm.explain(embedded[0][:1]).to_frame()


class TestNearestWords:
    def test_classes_are_nearest_to_their_names(self, negprompt):
        found = negprompt.nearest_words(SHAPE_NAMES, 3, of="positive")
        assert found.prompts == found.classes.tolist() == sorted(KNOWN)
        assert found.words[:, 0].tolist() == sorted(KNOWN)
        assert found.words.shape == found.cosines.shape == (6, 3)
        assert (np.diff(found.cosines, axis=1) <= 0).all()

    def test_the_shipped_nouns_are_the_default(self, mcm):
        found = mcm.nearest_words(n=3, of="positive")
        assert set(found.words.ravel()) <= set(load_words("nouns"))
        star = found.to_dict()["star"]
        assert next(iter(star)) == "star"
        assert star["star"] == pytest.approx(1, abs=1e-3)  # words are rounded to float16

    def test_each_negative_has_its_words(self, negprompt):
        found = negprompt.nearest_words(SHAPE_NAMES, n=4)
        assert found.prompts[:3] == ["anchor [0]", "anchor [1]", "bottle [0]"]
        assert found.classes.tolist() == np.repeat(sorted(KNOWN), 2).tolist()
        tower = negprompt._backbone().text_tower
        cosines = negprompt.text_bank_.negative @ tower.encode([f"a photo of a {w}" for w in SHAPE_NAMES]).T
        np.testing.assert_allclose(found.cosines, np.sort(cosines, axis=1)[:, :-5:-1], atol=1e-6)
        assert found.words[3, 0] == SHAPE_NAMES[cosines[3].argmax()]

    def test_a_context_is_the_mean_of_its_prompts(self):
        words = {"up": [1.0, 0, 1, 0], "right": [0, 0, 0, 1], "left": [0, 0, 0.0, -1], "in": [1, 1, 0, 0]}
        negative = np.array([[1, 0, 1, 0], [0, 0, 0, 1], [-1, 0, 1, 0], [0, 1, 0, 1]], dtype=np.float32)
        detector = by_hand(TextBank(np.eye(2, 4, dtype=np.float32), negative, per_class=2))
        found = detector.nearest_words(words, n=1, of="context")
        assert found.to_dict() == {
            "context 0": {"up": pytest.approx(np.sqrt(0.5))},
            "context 1": {"right": pytest.approx((1 + np.sqrt(0.5)) / np.sqrt(2 + np.sqrt(2)))},
        }
        assert found.classes is None

    def test_ready_embeddings_need_no_model_in_either_form(self):
        detector = by_hand(model="no such model")
        words, rows = ["feline", "hound", "stone"], np.array([[2.0, 0, 0, 0], [0, 3, 0, 0], [0, 0, 0, 1]])
        for bank in ((words, rows), (tuple(words), rows.tolist()), dict(zip(words, rows, strict=True))):
            found = detector.nearest_words(bank, n=1, of="positive")
            assert found.words.tolist() == [["feline"], ["hound"]]
            np.testing.assert_allclose(found.cosines, 1)

    def test_n_is_the_number_of_words_where_there_are_fewer(self, mcm):
        assert mcm.nearest_words(("star", "key"), of="positive").words.shape == (6, 2)

    def test_the_template_is_read(self, mcm):
        plain = mcm.nearest_words(["star", "key"], of="positive", template="{}")
        assert (plain.cosines < 1 - 1e-4).all()

    def test_it_prints_and_frames_all_words(self, mcm, negprompt):
        frame = mcm.nearest_words(SHAPE_NAMES, n=2, of="positive").to_frame()
        assert len(frame) == 12
        assert frame[frame["class"] == "star"]["word"].iloc[0] == "star"
        assert frame["rank"].tolist()[:3] == [1, 2, 1]
        lines = str(negprompt.nearest_words(SHAPE_NAMES, n=2)).split("\n")
        assert lines[1].startswith("anchor [0] | ")
        assert lines[-1].startswith("... and 2 more")

    def test_a_word_that_is_too_long_is_named(self, mcm):
        with pytest.raises(VocabularyError, match="a word that is too long.*'a photo of a (x ){9}"):
            mcm.nearest_words(["star", "x " * 40], of="positive")

    @pytest.mark.parametrize(
        ("words", "error", "message"),
        [
            ("star", InputTypeError, "sequence of words"),
            (7, InputTypeError, "sequence of words"),
            ({"star", "key"}, InputTypeError, "sequence of words"),
            ([], VocabularyError, "word_bank is empty"),
            (["star", 3], InputTypeError, r"word_bank\[1\] is 3"),
            (["star", " "], VocabularyError, r"word_bank\[1\] is empty"),
            (["star", "key", "star"], VocabularyError, "'star' twice, at 0 and 2"),
            ((["star"], np.ones((2, 128))), InputError, "1 words and embeddings of shape"),
            ((["star"], np.ones((1, 3))), InputError, "3 columns, the detector's prompts of 128"),
            ((["star"], np.zeros((1, 128))), InputError, "word_bank contains a vector of all zeros"),
            ({"star": "key"}, InputTypeError, "no matrix of numbers"),
        ],
    )
    def test_unusable_word_banks_are_refused(self, mcm, words, error, message):
        with pytest.raises(error, match=message):
            mcm.nearest_words(words, of="positive")

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"n": 0}, "n must be an integer"),
            ({"of": "classes"}, "of must be one of"),
            ({"template": "a photo"}, "template holds"),
            ({}, "MCMDetector has no negative prompts; nearest_words\\(of='positive'\\)"),
        ],
    )
    def test_unusable_parameters_are_refused(self, mcm, parameters, message):
        with pytest.raises(InputError, match=message):
            mcm.nearest_words(["star"], **parameters)

    def test_detectors_without_such_prompts_say_so(self, embedded):
        with pytest.raises(InputError, match="knows classes by their images"):
            nearest_words(KNNDetector(random_state=0).fit(*embedded), ["star"])
        words = NegLabelDetector(model="skneg-tiny", words=SHAPE_NAMES, random_state=0).fit(*embedded)
        assert words.nearest_words(SHAPE_NAMES, n=1).prompts == words.negative_words_
        with pytest.raises(InputError, match="belong to no class"):
            words.nearest_words(SHAPE_NAMES, of="context")


@pytest.mark.parametrize("method", ["explain", "nearest_words", "p_values", "calibrate"])
def test_an_unfitted_detector_says_so(method):
    with pytest.raises(NotFittedError):
        getattr(MCMDetector(model="skneg-tiny"), method)(np.eye(3))


class TestWordsOfNoClass:
    @pytest.fixture
    def explained(self, embedded, strange_scenes):
        detector = NegPromptDetector(
            model="skneg-tiny",
            words=["fish", "ladder"],
            recipe=PromptRecipe(positive_steps=2, negative_steps=2),
            random_state=0,
        )
        return detector.fit(*embedded), detector.explain(strange_scenes)

    def test_the_nearest_word_is_named(self, explained, strange_scenes):
        detector, why = explained
        Z = detector._embed(strange_scenes)
        cosines = Z @ detector.text_bank_.common.T
        np.testing.assert_array_equal(why.word, np.array(["fish", "ladder"])[cosines.argmax(axis=1)])
        np.testing.assert_allclose(why.word_cosine, cosines.max(axis=1), atol=1e-6)
        np.testing.assert_allclose(why.word_margin, why.nearest_cosine - why.word_cosine)
        assert "nearest word" in str(why)

    def test_a_selection_keeps_the_rows_of_x(self, explained):
        _, why = explained
        assert why[[5, 2]].image.tolist() == [5, 2]
        assert str(why[7:8]).splitlines()[-1].startswith("7")
