from functools import partial

import numpy as np
import pytest

from skneg import TextBank, Words, WordsDetector

from ..conftest import random_unit

pytestmark = pytest.mark.filterwarnings("ignore:labels and names agree")  # of random images


RNG = np.random.default_rng(0)


unit = partial(random_unit, RNG)


POSITIVE, WORDS, X = unit(4), unit(50), unit(40)
NAMES = list("abcd")


def energy(texts, temperature):
    return temperature * np.log(np.exp(X.astype(np.float64) @ texts.T / temperature).sum(axis=1))


@pytest.mark.parametrize("temperature", [None, 0.2])
def test_the_score_is_the_energy_of_the_names_less_that_of_the_words(temperature):
    detector = WordsDetector(text_bank=TextBank(POSITIVE, WORDS), score_temperature=temperature)
    t = 0.01 if temperature is None else temperature  # CLIP's own by default
    expected = energy(POSITIVE, t) - energy(WORDS, t)
    np.testing.assert_allclose(detector.fit(X, class_names=NAMES).score_samples(X), expected, atol=1e-6)


def test_words_stand_apart_from_the_classes():
    near = POSITIVE[:1] + 0.01 * WORDS[:1]  # means the first class
    detector = WordsDetector(text_bank=TextBank(POSITIVE, np.concatenate([WORDS, near])))
    bank = detector.fit(X, class_names=NAMES).text_bank_
    np.testing.assert_allclose(bank.common, WORDS, atol=1e-6)
    np.testing.assert_allclose(bank.positive, POSITIVE, atol=1e-6)
    assert (len(bank.negative), detector.words_) == (0, [])
    # Words are no class: the posterior is over the names alone.
    assert detector.predict_proba(X).shape == (40, 4)


def test_words_are_embedded_in_the_templates_and_follow_the_names(embedded):
    words, templates = ["fish", "Key", "tree", "crown"], ["a drawing of a {}"]
    detector = WordsDetector(
        model="skneg-tiny", words=Words(words, max_cosine=1.01), templates=templates
    ).fit(*embedded)
    tower = detector._backbone().text_tower
    assert detector.words_ == ["fish", "tree", "crown"]  # the key is a class
    expected = tower.encode([f"a drawing of a {word}" for word in detector.words_])
    np.testing.assert_allclose(detector.text_bank_.common, expected, atol=2e-3)  # kept in float16
    detector.set_vocabulary(["fish", "star"])
    assert detector.words_ == ["Key", "tree", "crown"]


def test_the_shipped_nouns_that_mean_no_class_are_the_default(embedded, monkeypatch):
    nouns = ["fish", "star", "stars", "tree", "a star", "Bottle"]
    monkeypatch.setattr("skneg.datasets.load_words", lambda kind: {"nouns": nouns, "adjectives": []}[kind])
    detector = WordsDetector(model="skneg-tiny", templates="{}").fit(*embedded)
    tower = detector._backbone().text_tower
    cosines = tower.encode(nouns) @ tower.encode(detector.class_names_).T
    expected = [noun for noun, near in zip(nouns, cosines.max(axis=1), strict=True) if near < 0.9]
    assert detector.words_ == expected
    assert {"fish", "tree"} <= set(expected) < set(nouns)


def test_images_may_choose_the_words():
    bank, images = TextBank(POSITIVE, WORDS), np.repeat(unit(4), 10, axis=0)
    words = Words(fraction=0.2, max_cosine=1.01, selection="images")
    detector = WordsDetector(text_bank=bank, words=words).fit(images, np.repeat(NAMES, 10))
    means = images[::10].astype(np.float64)
    gap = (POSITIVE * means).sum(axis=1) - WORDS @ means.T
    # The random names say little of these images: no word is less like all of them, so the mean decides.
    assert not (gap > 0).all(axis=1).any()
    expected = WORDS[np.argsort(-gap.mean(axis=1))[:10]]
    np.testing.assert_allclose(detector.text_bank_.common, expected, atol=1e-6)
