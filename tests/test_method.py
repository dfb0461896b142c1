"""What a method does by default."""

import numpy as np
import pytest
from scipy.special import log_softmax

from skneg import KNNDetector, MahalanobisDetector
from skneg._method import Method

from .evidence.data import clusters


def test_hooks_that_a_method_must_fill_in_say_so():
    for hook in ("_score", "_posterior"):
        with pytest.raises(TypeError, match=f"Method must define {hook}"):
            getattr(Method(), hook)(None, None)


def test_the_score_of_a_class_adds_how_likely_it_is():
    X, y = clusters([9, 9, 9])
    detector = MahalanobisDetector(random_state=0).fit(X, y)
    gaps = X[:, None] - detector.means_
    distances = np.einsum("nkd,de,nke->nk", gaps, detector.whitener_ @ detector.whitener_.T, gaps)
    log_p = np.maximum(log_softmax(-distances / 2, axis=1), -30)
    expected = -distances.min(axis=1)[:, None] + detector.calibration_scores_.std() * log_p
    np.testing.assert_allclose(detector._class_scores(detector._state, X), expected, atol=1e-4)


def test_a_state_of_one_class_has_one_column():
    X, _ = clusters([9])
    detector = KNNDetector(random_state=0, contamination=0.2).fit(X, ["good"] * 9)
    assert detector._class_scores(detector._state, X).shape == (9, 1)


def test_columns_are_those_of_two_models_where_there_are_two():
    assert KNNDetector(model="ViT-B-16")._columns() is None
    assert KNNDetector(model="timm:test_vit")._columns() is None
    assert KNNDetector(model="ViT-L-14+timm:test_vit", pretrained="openai")._columns() == (768, 64)
