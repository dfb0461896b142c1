import numpy as np
import pytest

from skneg import EOEDetector, MCMDetector, TextBank

from ..conftest import KNOWN


def softmax(z):
    masses = np.exp(z)
    return masses / masses.sum(axis=1, keepdims=True)


def test_the_posterior_is_at_the_temperature_of_the_model(embedded):
    X = embedded[0].astype(np.float64)
    detector = MCMDetector(model="skneg-tiny", score_temperature=5.0).fit(*embedded)
    tower = detector._backbone().text_tower
    texts = tower.encode([f"a photo of a {name}" for name in sorted(KNOWN)])
    expected = softmax(X @ texts.T / tower.temperature)
    np.testing.assert_allclose(detector.predict_proba(embedded[0]), expected, atol=1e-5)


def test_negatives_and_words_do_not_name_an_image():
    rows = np.eye(6, dtype=np.float32)
    bank = TextBank(rows[:3], rows[3:])
    detector = EOEDetector(text_bank=bank, contamination=0.3).fit(rows, class_names=list("abc"))
    posterior = detector.predict_proba(rows)
    assert posterior.shape == (6, 3)
    np.testing.assert_allclose(posterior[3:], 1 / 3)


def test_an_image_of_a_dropped_class_is_scored_with_its_own_class_alone_added(embedded):
    X, y = embedded
    detector = MCMDetector(model="skneg-tiny", score_temperature=0.1).fit(X, y)
    kept = ["star", "heart", "key", "anchor"]  # bottle and umbrella go
    detector.set_vocabulary(kept)
    tower = detector._backbone().text_tower
    expected = []
    for x, name in zip(X.astype(np.float64), y, strict=True):
        names = kept if name in kept else [*kept, name]
        cosines = x @ tower.encode([f"a photo of a {n}" for n in names]).T
        expected.append(np.log(softmax(cosines[None] / 0.1).max()))
    np.testing.assert_allclose(detector.calibration_scores_, np.sort(expected), atol=1e-5)
    assert detector.offset_ == pytest.approx(np.sort(expected)[5], abs=1e-5)


def test_where_the_texts_are_ready_such_an_image_is_left_out():
    rows = np.random.default_rng(0).normal(size=(3, 8))
    X = np.repeat(rows, 20, axis=0) + np.random.default_rng(1).normal(scale=0.1, size=(60, 8))
    detector = MCMDetector(text_bank=rows).fit(X, np.repeat(list("abc"), 20))
    detector.set_vocabulary(["c", "a"], text_bank=rows[[2, 0]])
    scores = detector.score_samples(X)
    expected = np.concatenate([scores[:20], scores[40:]])
    np.testing.assert_allclose(detector.calibration_scores_, np.sort(expected))
