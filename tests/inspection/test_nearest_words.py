"""The words nearest to prompts."""

import numpy as np
import pytest

from skneg import KNNDetector, NegLabelDetector, TextBank
from skneg.datasets import SHAPE_NAMES, load_words
from skneg.errors import InputError, InputTypeError, VocabularyError
from skneg.inspection import _nearest_words, nearest_words

from ..conftest import KNOWN
from .conftest import by_hand


def test_classes_are_nearest_to_their_names(negprompt):
    found = negprompt.nearest_words(SHAPE_NAMES, 3, of="positive")
    assert found.prompts == found.classes.tolist() == sorted(KNOWN)
    assert found.words[:, 0].tolist() == sorted(KNOWN)
    assert found.words.shape == found.cosines.shape == (6, 3)
    assert (np.diff(found.cosines, axis=1) <= 0).all()


def test_the_shipped_nouns_are_the_default(mcm):
    found = mcm.nearest_words(n=3, of="positive")
    assert set(found.words.ravel()) <= set(load_words("nouns"))
    star = found.to_dict()["star"]
    assert next(iter(star)) == "star"
    assert star["star"] == pytest.approx(1, abs=1e-3)  # words are rounded to float16


def test_each_negative_has_its_words(negprompt):
    found = negprompt.nearest_words(SHAPE_NAMES, n=4)
    assert found.prompts[:3] == ["anchor [0]", "anchor [1]", "bottle [0]"]
    assert found.classes.tolist() == np.repeat(sorted(KNOWN), 2).tolist()
    tower = negprompt._backbone().text_tower
    cosines = negprompt.text_bank_.negative @ tower.encode([f"a photo of a {w}" for w in SHAPE_NAMES]).T
    np.testing.assert_allclose(found.cosines, np.sort(cosines, axis=1)[:, :-5:-1], atol=1e-6)
    assert found.words[3, 0] == SHAPE_NAMES[cosines[3].argmax()]


def test_a_context_is_the_mean_of_its_prompts():
    words = {"up": [1.0, 0, 1, 0], "right": [0, 0, 0, 1], "left": [0, 0, 0.0, -1], "in": [1, 1, 0, 0]}
    negative = np.array([[1, 0, 1, 0], [0, 0, 0, 1], [-1, 0, 1, 0], [0, 1, 0, 1]], dtype=np.float32)
    detector = by_hand(TextBank(np.eye(2, 4, dtype=np.float32), negative, per_class=2))
    found = detector.nearest_words(words, n=1, of="context")
    assert found.to_dict() == {
        "context 0": {"up": pytest.approx(np.sqrt(0.5))},
        "context 1": {"right": pytest.approx((1 + np.sqrt(0.5)) / np.sqrt(2 + np.sqrt(2)))},
    }
    assert found.classes is None


def test_ready_embeddings_need_no_model_in_either_form():
    detector = by_hand(model="no such model")
    words, rows = ["feline", "hound", "stone"], np.array([[2.0, 0, 0, 0], [0, 3, 0, 0], [0, 0, 0, 1]])
    for bank in ((words, rows), (tuple(words), rows.tolist()), dict(zip(words, rows, strict=True))):
        found = detector.nearest_words(bank, n=1, of="positive")
        assert found.words.tolist() == [["feline"], ["hound"]]
        np.testing.assert_allclose(found.cosines, 1)


def test_n_is_the_number_of_words_where_there_are_fewer(mcm):
    assert mcm.nearest_words(("star", "key"), of="positive").words.shape == (6, 2)


def test_the_template_is_read(mcm):
    plain = mcm.nearest_words(["star", "key"], of="positive", template="{}")
    assert (plain.cosines < 1 - 1e-4).all()


def test_a_word_that_is_too_long_is_named(mcm):
    with pytest.raises(VocabularyError, match="a word that is too long.*'a photo of a (x ){9}"):
        mcm.nearest_words(["star", "x " * 40], of="positive")


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ("star", InputTypeError, "sequence of words"),
        (7, InputTypeError, "sequence of words"),
        ({"star", "key"}, InputTypeError, "sequence of words"),
        ([], VocabularyError, "words is empty"),
        (["star", 3], InputTypeError, r"words\[1\] is 3"),
        (["star", " "], VocabularyError, r"words\[1\] is empty"),
        (["star", "key", "star"], VocabularyError, "'star' twice, at 0 and 2"),
        ((["star"], np.ones((2, 128))), InputError, "1 words and embeddings of shape"),
        ((["star"], np.ones((1, 3))), InputError, "3 columns, the detector's have 128"),
        ((["star"], np.zeros((1, 128))), InputError, "words contains a vector of all zeros"),
        ({"star": "key"}, InputTypeError, "no matrix of numbers"),
    ],
)
def test_unusable_word_banks_are_refused(mcm, words, error, message):
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
def test_unusable_parameters_are_refused(mcm, parameters, message):
    with pytest.raises(InputError, match=message):
        mcm.nearest_words(["star"], **parameters)


def test_detectors_without_such_prompts_say_so(embedded):
    with pytest.raises(InputError, match="knows classes by their images"):
        nearest_words(KNNDetector(random_state=0).fit(*embedded), ["star"])
    words = NegLabelDetector(model="skneg-tiny", words=SHAPE_NAMES, random_state=0).fit(*embedded)
    assert words.nearest_words(SHAPE_NAMES, n=1).prompts == words.negative_words_
    with pytest.raises(InputError, match="belong to no class"):
        words.nearest_words(SHAPE_NAMES, of="context")


@pytest.mark.parametrize("n", [1, 3])
def test_of_equals_the_first_word_comes_first_whatever_the_chunks(n, monkeypatch):
    rng = np.random.default_rng(0)
    # Of small integers, so that equal words have the very same products in every chunk.
    rows, candidates = rng.integers(-3, 4, (7, 4)).astype(float), rng.integers(-3, 4, (5, 4)).astype(float)
    candidates = np.concatenate([candidates, candidates])  # each word has an equal
    expected = np.argsort(-rows @ candidates.T, axis=1, kind="stable")[:, :n]
    for alive in (1, 25, 10_000):  # cosines alive at a time: one row, two rows, all
        monkeypatch.setattr(_nearest_words, "_COSINES", alive)
        found, cosines = _nearest_words.nearest(rows, candidates, n)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_allclose(cosines, np.take_along_axis(rows @ candidates.T, expected, axis=1))
