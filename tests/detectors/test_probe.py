from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from skneg import (
    FDBDDetector,
    GENDetector,
    LinearProbeDetector,
    NNGuideDetector,
    ResidualDetector,
    ViMDetector,
)
from skneg.detectors._probe import fit_probe, probe_logits, probe_weights
from skneg.errors import InputError, VocabularyError

from ..conftest import random_unit

RNG = np.random.default_rng(0)
TRAIN, X = random_unit(RNG, 90), random_unit(RNG, 20)
Y = np.tile(list("abc"), 30)
KINDS = (LinearProbeDetector, ResidualDetector, ViMDetector, NNGuideDetector, GENDetector, FDBDDetector)


def test_two_classes_share_the_difference_of_their_logits():
    fitted = {"coef_": np.array([[2.0, -4.0]]), "intercept_": np.array([6.0])}
    weights, intercepts = probe_weights(fitted)
    assert weights.tolist() == [[-1, 2], [1, -2]]
    assert intercepts.tolist() == [-3, 3]
    logits = probe_logits(fitted, np.array([[1, 1]], dtype=np.float32))
    assert logits.dtype == np.float64
    assert logits.tolist() == [[-2, 2]]


def test_the_fit_is_that_of_scikit_learn_with_the_detectors_parameters():
    targets = np.tile([0, 1, 2], 30)
    fitted = fit_probe(SimpleNamespace(C=3.0, max_iter=50), TRAIN, targets, seed=0)
    expected = LogisticRegression(C=3.0, max_iter=50).fit(TRAIN, targets)
    np.testing.assert_array_equal(fitted["coef_"], expected.coef_)
    np.testing.assert_array_equal(fitted["intercept_"], expected.intercept_)
    assert fitted["n_iter_"] == expected.n_iter_[0]


@pytest.mark.parametrize("kind", KINDS)
class TestEveryOne:
    def test_has_the_same_classifier(self, kind):
        expected = LogisticRegression(C=7.0, max_iter=1000).fit(TRAIN, Y).predict_proba(X)
        detector = kind(C=7.0, calibration="train", random_state=0).fit(TRAIN, Y)
        np.testing.assert_allclose(detector.predict_proba(X), expected, atol=1e-5)

    def test_refuses_what_no_classifier_can_be(self, kind):
        for wrong in ({"C": 0}, {"max_iter": 0}):
            with pytest.raises(InputError, match=next(iter(wrong))):
                kind(**wrong).fit(TRAIN, Y)
        with pytest.raises(VocabularyError, match=f"{kind.__name__} compares classes .* at least 2 classes"):
            kind().fit(TRAIN, np.full(90, "a"))
        with pytest.raises(VocabularyError, match=f"'d' has no images, and {kind.__name__} knows a class"):
            kind().fit(TRAIN, np.searchsorted(list("abc"), Y), class_names=list("abcd"))
