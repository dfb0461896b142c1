import pickle

import numpy as np
import pytest

from skneg import CSPDetector, NegRefineDetector, TextBank, Words
from skneg.backbone import load_backbone
from skneg.detectors import _negrefine
from skneg.detectors._negrefine import pair_score
from skneg.errors import InputError, InputTypeError, VocabularyError

WORDS = {
    "words": Words(["fish", "tree", "crown", "ladder"], max_cosine=1.01),
    "adjectives": ["red"], "superclasses": ["thing"], "n_groups": 1, "random_state": 0,
}  # fmt: skip


def fitted(embedded, **parameters):
    return NegRefineDetector(model="skneg-tiny", **{**WORDS, **parameters}).fit(*embedded)


def test_the_share_of_a_pair_by_hand():
    to_pairs, to_words = np.array([[[0.3, 0.1], [0.2, 0.4]]]), np.array([[[0.2, 0.4]]])
    # Leads of 0.1, -0.3, 0 and 0 over the word: the first decides. e / (e + 1) at a temperature of 0.1.
    np.testing.assert_allclose(np.exp(pair_score(to_pairs, to_words, 0.1)), [np.e / (np.e + 1)])


def test_the_score_by_hand(embedded, monkeypatch):
    monkeypatch.setattr(NegRefineDetector, "n_likeliest", 2)
    monkeypatch.setattr(NegRefineDetector, "pair_weight", 3.0)
    detector, x = fitted(embedded), embedded[0][:5]
    tower, bank = load_backbone("skneg-tiny").text_tower, detector.text_bank_
    share = np.exp(CSPDetector(model="skneg-tiny", **WORDS).fit(*embedded).score_samples(x))
    for row, image in enumerate(x):
        classes, words = np.argsort(-(bank.positive @ image))[:2], np.argsort(-(bank.negative @ image))[:2]
        best = max(
            1 / (1 + np.exp(100 * (bank.negative[n] @ image - tower.encode([text])[0] @ image)))
            for p in classes
            for n in words
            for text in [f"the nice {detector.class_names_[p]} and {detector.negative_words_[n]}"]
        )
        assert detector.score_samples(x)[row] == pytest.approx(share[row] + 3 * best - 4, abs=1e-4)


def test_verdicts_drop_words_for_the_classes_that_they_name(embedded):
    verdicts = {
        "Fish": None,
        "tree": "umbrella",
        "crown": ["dragon", "Star"],
        "red_thing": "dragon",
        "sun": None,
    }
    detector = fitted(embedded, dropped_words=verdicts)
    assert sorted(detector.dropped_words_) == ["crown", "fish", "tree"]
    assert sorted(detector.negative_words_) == ["ladder", "red thing"]
    moved = detector.set_vocabulary(["dragon", "heart"])
    assert sorted(moved.dropped_words_) == ["crown", "fish", "red thing"]
    assert len(moved.text_bank_.negative) == len(moved.negative_words_) == 2
    assert sorted(fitted(embedded, dropped_words=["FISH"]).dropped_words_) == ["fish"]
    assert fitted(embedded, dropped_words=[]).dropped_words_ == []


def test_a_pair_has_the_same_bits_whatever_else_is_embedded(embedded):
    backbone = load_backbone("skneg-tiny")
    texts = [
        f"{name} and {word}" for name in ("star", "hot air balloon") for word in ("fish", "sea horse", "oak")
    ]
    _negrefine._kept.cache_clear()
    one_by_one = np.concatenate([_negrefine._embedded(backbone, [text], ("a {}",)) for text in texts])
    _negrefine._kept.cache_clear()
    np.testing.assert_array_equal(_negrefine._embedded(backbone, texts[::-1], ("a {}",))[::-1], one_by_one)
    expected = backbone.text_tower.encode([f"a {text}" for text in texts])
    np.testing.assert_allclose(one_by_one, expected, atol=1e-5)


def test_pairs_are_kept_up_to_a_limit(embedded, monkeypatch):
    monkeypatch.setattr(_negrefine, "_KEPT", 3)
    _negrefine._kept.cache_clear()
    detector = fitted(embedded)
    before = detector.score_samples(embedded[0])
    kept = _negrefine._kept(load_backbone("skneg-tiny"), ("the nice {}",))
    assert len(kept) == 3
    np.testing.assert_array_equal(detector.score_samples(embedded[0]), before)
    _negrefine._kept.cache_clear()


def test_another_copy_scores_alike(embedded, tmp_path):
    detector = fitted(embedded, dropped_words={"fish": None})
    detector.save(tmp_path / "d.skneg")
    scores = detector.score_samples(embedded[0])
    _negrefine._kept.cache_clear()
    for again in (NegRefineDetector.load(tmp_path / "d.skneg"), pickle.loads(pickle.dumps(detector))):
        np.testing.assert_array_equal(again.score_samples(embedded[0]), scores)
        assert again.dropped_words_ == ["fish"]


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"dropped_words": "fish"}, InputTypeError, "dropped_words is one string"),
        ({"dropped_words": {"fish": True}}, InputTypeError, r"dropped_words\['fish'\] is True"),
        ({"dropped_words": {"fish": [3]}}, InputTypeError, r"dropped_words\['fish'\]"),
        ({"dropped_words": ["fish", "Fish"]}, VocabularyError, "'Fish' twice"),
        ({"dropped_words": ["fish", "tree", "crown", "ladder", "red thing"]}, VocabularyError, "every word"),
        ({"dropped_words": 3}, InputTypeError, "dropped_words"),
        ({"text_bank": TextBank(np.eye(6, 128), np.eye(6, 128))}, InputError, "take CSPDetector"),
        (
            {"words": Words(["fish " * 28, "tree"], max_cosine=1.01)},
            VocabularyError,
            "do not fit .* together",
        ),
    ],
)
def test_unusable_parameters_are_named(embedded, parameters, error, message):
    with pytest.raises(error, match=message):
        fitted(embedded, **parameters)
