import numpy as np
import pytest

from skneg import InterNegDetector, Words
from skneg.backbone import load_backbone
from skneg.datasets import COLORS, SHAPE_NAMES

from ..conftest import KNOWN


def fit(embedded, **parameters):
    words = Words(SHAPE_NAMES, selection="images", max_cosine=1.01)
    settings = {"words": words, "random_state": 0, "calibration": "train", **parameters}
    return InterNegDetector(model="skneg-tiny", **settings).fit(*embedded)


@pytest.mark.parametrize("parameters", [{"n_groups": 3}, {"n_groups": 2, "score_temperature": 0.2}])
def test_the_score_compares_the_mean_mass_of_a_name_with_that_of_a_word(embedded, parameters):
    detector = fit(embedded, **parameters)
    X, bank, t = (
        embedded[0].astype(np.float64),
        detector.text_bank_,
        parameters.get("score_temperature", 0.01),
    )
    names, words = np.exp(X @ bank.positive.T / t).mean(axis=1), np.exp(X @ bank.negative.T / t)
    size = len(bank.negative) // parameters["n_groups"]
    groups = [words[:, i * size : (i + 1) * size].mean(axis=1) for i in range(parameters["n_groups"])]
    expected = np.log(np.mean([names / (names + group) for group in groups], axis=0))
    np.testing.assert_allclose(detector.score_samples(embedded[0]), expected, rtol=1e-3, atol=1e-4)


def test_words_are_chosen_that_are_less_like_every_mean_image_than_its_name(embedded):
    X, y = embedded
    tower = load_backbone("skneg-tiny").text_tower
    words = [shape for shape in SHAPE_NAMES if shape not in KNOWN]
    # Blurred names, as those of the little model are too good for any word to be nearer.
    names = tower.encode(sorted(KNOWN)) + 0.12 * np.random.default_rng(0).normal(size=(6, 128))
    names /= np.linalg.norm(names, axis=1, keepdims=True)
    means = np.stack([X[y == name].mean(axis=0) for name in sorted(KNOWN)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    gap = (names * means).sum(axis=1) - tower.encode([f"the nice {word}" for word in words]) @ means.T
    allowed = (gap > 0).all(axis=1)
    order = np.argsort(-gap.mean(axis=1))
    best = [words[i] for i in order if allowed[i]][:8]
    assert best != [words[i] for i in order[:8]]  # the rule leaves some of these out
    detector = fit(embedded, n_words=8, text_bank=names)
    assert set(detector.negative_words_) == set(best)
    assert len(fit(embedded, n_words=100, text_bank=names).negative_words_) == allowed.sum() > 8


def test_the_seed_decides_the_groups_alone(embedded):
    first, same, other = (fit(embedded, n_words=8, random_state=seed) for seed in (0, 0, 1))
    assert first.negative_words_ == same.negative_words_ != other.negative_words_
    assert sorted(first.negative_words_) == sorted(other.negative_words_)


def test_what_images_have_chosen_stays_with_new_names(embedded):
    detector = fit(embedded, n_words=8)
    before = set(detector.negative_words_)
    one = min(before)
    detector.set_vocabulary([*KNOWN, one])
    assert set(detector.negative_words_) == before - {one}
    detector.set_vocabulary(KNOWN[:2])
    assert set(detector.negative_words_) == before


def test_shipped_nouns_and_adjectives_come_in_proportion(embedded, monkeypatch):
    lists = {
        "nouns": [name for name in SHAPE_NAMES if name not in KNOWN][:24],
        "adjectives": list(COLORS)[:8],
    }
    monkeypatch.setattr("skneg.datasets.load_words", lists.get)
    detector = fit(embedded, words=None, n_words=12)
    assert sum(word in lists["nouns"] for word in detector.negative_words_) == 9
    assert sum(word in lists["adjectives"] for word in detector.negative_words_) == 3
