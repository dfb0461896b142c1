import numpy as np
import pytest

from skneg import DPMDetector, MCMDetector, TextBank
from skneg.detectors import _dpm
from skneg.detectors._dpm import match
from skneg.errors import InputError

from ..conftest import random_unit

RNG = np.random.default_rng(0)
NAMES = [f"class {c}" for c in range(6)]
TEXTS = random_unit(RNG, 6)


def images(n, noise=0.5, shift=0.0):
    """So many of each class around its name; all moved in one direction."""
    rows = np.repeat(TEXTS, n, axis=0) + noise * random_unit(RNG, 6 * n) + shift * random_unit(RNG, 1)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), np.repeat(NAMES, n)


def fitted(X, y, **parameters):
    common = {"text_bank": TextBank.from_positives(TEXTS), "random_state": 0, "contamination": 0.2}
    return DPMDetector(**{**common, **parameters}).fit(X, y)


def test_the_divergence_by_hand():
    p, patterns = np.array([[0.5, 0.5]]), np.array([[0.25, 0.75], [0.9, 0.1]])
    # 0.5 log(0.5 / 0.25) + 0.5 log(0.5 / 0.75) is smaller than 0.5 log(0.5 / 0.9) + 0.5 log(0.5 / 0.1).
    expected = 0.5 * np.log(2) + 0.5 * np.log(2 / 3)
    np.testing.assert_allclose(match(np.log(p), np.log(patterns)), [-expected])
    assert match(np.log(patterns), np.log(patterns)) == pytest.approx([0, 0])


def test_the_score_by_hand():
    X, y = images(4)
    detector = fitted(X, y, visual_weight=3.0)
    p = np.exp(X.astype(float) @ TEXTS.T)
    p /= p.sum(axis=1, keepdims=True)
    patterns = np.stack([p[y == name].mean(axis=0) for name in NAMES])
    np.testing.assert_allclose(np.exp(detector.log_patterns_), patterns, rtol=1e-5)
    divergence = (p[:, None] * np.log(p[:, None] / patterns)).sum(axis=2).min(axis=1)
    expected = p.max(axis=1) - 3 * detector.visual_scale_ * divergence
    np.testing.assert_allclose(detector.score_samples(X), expected, rtol=1e-5)


def test_without_weight_it_is_mcm():
    X, y = images(4)
    mcm = MCMDetector(text_bank=TextBank.from_positives(TEXTS)).fit(X, class_names=NAMES)
    np.testing.assert_allclose(fitted(X, y, visual_weight=0).score_samples(X), np.exp(mcm.score_samples(X)))


def test_the_weight_comes_from_classes_that_play_unknown(monkeypatch):
    X, y = images(8)
    chosen = fitted(X, y).visual_weight_
    assert chosen in _dpm._WEIGHTS
    assert fitted(X, y).visual_weight_ == chosen

    def by_visual_alone(logits, targets, fold, known):
        is_known = np.isin(targets, known)
        rng = np.random.default_rng(0)
        return rng.uniform(size=len(targets)), is_known + rng.uniform(size=len(targets)), is_known

    monkeypatch.setattr(_dpm, "_both", by_visual_alone)
    assert fitted(X, y).visual_weight_ == 10.0

    def by_text_alone(*arguments):
        text, visual, is_known = by_visual_alone(*arguments)
        return visual, text, is_known

    monkeypatch.setattr(_dpm, "_both", by_text_alone)
    assert fitted(X, y).visual_weight_ <= 0.1


def test_images_are_scored_without_their_own_group():
    logits = RNG.normal(size=(8, 2))
    targets, fold = np.repeat([0, 1], 4), np.tile([0, 0, 1, -1], 2)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    _, visual, is_known = _dpm._both(logits, targets, fold, np.array([0, 1]))
    without = np.stack([p[[2, 3]].mean(axis=0), p[[6, 7]].mean(axis=0)])
    expected = match(np.log(p[[0, 1, 4, 5]]), np.log(without))
    np.testing.assert_allclose(visual[[0, 1, 3, 4]], expected)
    assert is_known.all()
    assert len(visual) == 6


@pytest.mark.filterwarnings("ignore::skneg.errors.CalibrationWarning")
@pytest.mark.parametrize("n", [1, 2])
def test_very_few_images(n):
    X, y = images(n)
    detector = fitted(X, y)
    assert np.isfinite(detector.score_samples(X)).all()
    if n == 1:
        assert (detector.visual_weight_, detector.visual_scale_) == (1.0, 1.0)


@pytest.mark.parametrize("weight", ["best", -1, np.nan, None])
def test_unusable_weights_are_named(weight):
    with pytest.raises(InputError, match="visual_weight"):
        fitted(*images(4), visual_weight=weight)
