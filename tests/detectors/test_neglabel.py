from functools import partial

import numpy as np
import pytest

from skneg import NegLabelDetector, TextBank, Words
from skneg.datasets import load_words
from skneg.errors import InputError, InputTypeError, VocabularyError

from ..conftest import random_unit

RNG = np.random.default_rng(0)


unit = partial(random_unit, RNG)


POSITIVE, WORDS = unit(4), unit(50)
NAMES = ["a", "b", "c", "d"]
X = np.repeat(POSITIVE, 10, axis=0)
HALF = Words(fraction=0.5, max_cosine=1.01)


def test_the_words_least_like_the_classes_are_kept():
    bank = TextBank(POSITIVE, WORDS)
    detector = NegLabelDetector(
        text_bank=bank, words=Words(fraction=0.2, max_cosine=1.01), random_state=0
    ).fit(X, class_names=NAMES)
    likeness = np.quantile(WORDS @ POSITIVE.T, 0.95, axis=1)
    expected = WORDS[np.sort(np.argsort(likeness)[:10])]
    got = detector.text_bank_.negative
    np.testing.assert_allclose(np.sort(got, axis=0), np.sort(expected, axis=0), atol=1e-6)


def test_groups_follow_the_seed():
    bank = TextBank(POSITIVE, WORDS)
    first, same, other = (
        NegLabelDetector(
            text_bank=bank, words=Words(fraction=0.5, max_cosine=1.01), n_groups=5, random_state=seed
        ).fit(X, class_names=NAMES)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.text_bank_.negative, same.text_bank_.negative)
    assert (first.text_bank_.negative != other.text_bank_.negative).any()


def test_class_names_are_never_their_own_negatives(embedded):
    detector = NegLabelDetector(
        model="skneg-tiny", words=Words(["Star", "fish", "tree"], max_cosine=1.01), random_state=0
    )
    assert sorted(detector.fit(*embedded).negative_words_) == ["fish", "tree"]
    with pytest.raises(VocabularyError, match="nothing is left"):
        NegLabelDetector(model="skneg-tiny", words=["star", "KEY"]).fit(*embedded)


def test_shipped_words_are_used_and_mined_anew_for_new_names(embedded):
    detector = NegLabelDetector(model="skneg-tiny", random_state=0).fit(*embedded)
    n_words = len(set(load_words("nouns")) | set(load_words("adjectives")))
    assert len(detector.negative_words_) == pytest.approx(0.15 * n_words, abs=1)
    before = list(detector.negative_words_)
    assert set(detector.set_vocabulary(["fish", "tree"]).negative_words_) != set(before)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"words": "fish"}, InputTypeError, "one string"),
        ({"words": ["fish", 3]}, InputTypeError, r"words\[1\] is 3"),
        ({"words": ["fish", "fish"]}, VocabularyError, "'fish' twice"),
        ({"words": []}, VocabularyError, "empty"),
        ({"words": Words(fraction=0)}, InputError, "fraction"),
        ({"words": Words(quantile=1)}, InputError, "quantile"),
        ({"n_groups": 0}, InputError, "n_groups"),
        ({"text_bank": POSITIVE}, InputError, "no negatives"),
        ({"templates": "a photo"}, InputError, "templates holds 'a photo'"),
        ({"templates": []}, InputError, "templates is empty"),
    ],
)
def test_unusable_parameters_are_named(parameters, error, message):
    with pytest.raises(error, match=message):
        NegLabelDetector(model="skneg-tiny", **parameters).fit(X, class_names=NAMES)


def test_words_may_be_chosen_by_images():
    bank, y = TextBank(POSITIVE, WORDS), np.repeat(NAMES, 10)
    words = Words(fraction=0.2, max_cosine=1.01, selection="images")
    detector = NegLabelDetector(text_bank=bank, words=words, random_state=0).fit(X, y)
    gap = 1 - WORDS @ POSITIVE.T  # the mean images are the names themselves
    expected = WORDS[np.argsort(-gap.mean(axis=1))[:10]]
    got = detector.text_bank_.negative
    np.testing.assert_allclose(np.sort(got, axis=0), np.sort(expected, axis=0), atol=1e-6)
    with pytest.raises(InputError, match="need labelled images"):
        NegLabelDetector(text_bank=bank, words=words).fit(X, class_names=NAMES)
