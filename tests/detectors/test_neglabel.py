import numpy as np
import pytest

from skneg import CSPDetector, NegLabelDetector, TextBank
from skneg.datasets import load_words
from skneg.errors import InputError, InputTypeError, VocabularyError

RNG = np.random.default_rng(0)


def unit(n, d=16):
    rows = RNG.normal(size=(n, d)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


POSITIVE, WORDS = unit(4), unit(50)
NAMES = ["a", "b", "c", "d"]
X = np.repeat(POSITIVE, 10, axis=0)


def test_the_words_least_like_the_classes_are_kept():
    bank = TextBank(POSITIVE, WORDS)
    detector = NegLabelDetector(text_bank=bank, fraction=0.2, random_state=0).fit(X, class_names=NAMES)
    likeness = np.quantile(WORDS @ POSITIVE.T, 0.95, axis=1)
    expected = WORDS[np.sort(np.argsort(likeness)[:10])]
    got = detector.text_bank_.negative
    np.testing.assert_allclose(np.sort(got, axis=0), np.sort(expected, axis=0), atol=1e-6)


def test_groups_follow_the_seed():
    bank = TextBank(POSITIVE, WORDS)
    first, same, other = (
        NegLabelDetector(text_bank=bank, fraction=0.5, n_groups=5, random_state=seed).fit(
            X, class_names=NAMES
        )
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.text_bank_.negative, same.text_bank_.negative)
    assert (first.text_bank_.negative != other.text_bank_.negative).any()


def test_class_names_are_never_their_own_negatives(embedded):
    detector = NegLabelDetector(
        model="skneg-tiny", words=["Star", "fish", "tree"], fraction=1, random_state=0
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


def test_csp_drops_what_is_too_like_a_class_or_another_word():
    near_class, near_word = POSITIVE[:1] + 0.01 * WORDS[:1], WORDS[:1] + 0.01 * WORDS[1:2]
    bank = TextBank(POSITIVE, np.concatenate([WORDS, near_class, near_word]))
    detector = CSPDetector(text_bank=bank, fraction=1, max_cosine=0.95, random_state=0)
    kept = detector.fit(X, class_names=NAMES).text_bank_.negative
    assert len(kept) == len(WORDS)


def test_csp_pairs_adjectives_with_broad_nouns(embedded):
    detector = CSPDetector(
        model="skneg-tiny", words=["fish"], adjectives=["red", "blue"], superclasses=["thing", "place"],
        fraction=1, max_cosine=1, random_state=0,
    )  # fmt: skip
    assert set(detector.fit(*embedded).negative_words_) == {"fish", "red thing", "blue place"}


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"words": "fish"}, InputTypeError, "one string"),
        ({"words": ["fish", 3]}, InputTypeError, r"words\[1\] is 3"),
        ({"words": ["fish", "fish"]}, VocabularyError, "'fish' twice"),
        ({"words": []}, VocabularyError, "empty"),
        ({"fraction": 0}, InputError, "fraction"),
        ({"quantile": 1}, InputError, "quantile"),
        ({"n_groups": 0}, InputError, "n_groups"),
        ({"text_bank": POSITIVE}, InputError, "no negatives"),
        ({"templates": "a photo"}, InputError, "templates holds 'a photo'"),
        ({"templates": []}, InputError, "templates is empty"),
    ],
)
def test_unusable_parameters_are_named(parameters, error, message):
    with pytest.raises(error, match=message):
        NegLabelDetector(model="skneg-tiny", **parameters).fit(X, class_names=NAMES)
