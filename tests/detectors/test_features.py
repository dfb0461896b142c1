import numpy as np
import pytest

from skneg import KNNDetector, LinearProbeDetector, MahalanobisDetector, ViMDetector
from skneg.detectors._features import training_rows
from skneg.errors import VocabularyError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 8)).astype(np.float32)
X /= np.linalg.norm(X, axis=1, keepdims=True)
Y = np.tile(list("abc"), 40)
KINDS = (KNNDetector, LinearProbeDetector, MahalanobisDetector, ViMDetector)


def test_training_rows_are_numbered_by_the_order_of_the_names():
    learned = {"train_embeddings_": X[:6], "train_names_": np.array(["c", "a", "b", "a", "c", "b"])}
    rows, numbers = training_rows(learned, ["c", "a"], "it")
    np.testing.assert_array_equal(rows, X[[0, 1, 3, 4]])
    assert numbers.tolist() == [0, 1, 1, 0]
    with pytest.raises(VocabularyError, match="it knows classes by their images and has none of 'z'"):
        training_rows(learned, ["a", "z"], "it")


@pytest.mark.parametrize("kind", KINDS)
class TestEveryOne:
    def test_a_dropped_class_comes_back(self, kind):
        detector = kind(contamination=0.1, random_state=0).fit(X, Y)
        scores, offset = detector.score_samples(X), detector.offset_
        detector.set_vocabulary(["c", "a"])
        # Images of class b can no longer be scored as their own class, so they set no threshold.
        assert len(detector.calibration_scores_) == 80
        assert detector.predict_proba(X).shape == (120, 2)
        assert (detector.score_samples(X) != scores).any()
        detector.set_vocabulary(["a", "b", "c"])
        np.testing.assert_array_equal(detector.score_samples(X), scores)
        assert detector.offset_ == offset

    def test_held_out_images_teach_nothing(self, kind):
        detector = kind(random_state=0, calibration="holdout").fit(X, Y)
        trained = {row.tobytes() for row in detector.train_embeddings_}
        held_out = {row.tobytes() for row in detector.calibration_embeddings_}
        assert (len(trained), len(held_out), len(trained | held_out)) == (96, 24, 120)
        label = {row.tobytes(): name for row, name in zip(X, Y, strict=True)}
        owners = [label[row.tobytes()] for row in detector.train_embeddings_]
        assert detector.train_names_.tolist() == owners

    def test_a_class_needs_images(self, kind):
        with pytest.raises(VocabularyError, match=f"'d' has no images, and {kind.__name__} knows a class"):
            kind(random_state=0).fit(X, np.searchsorted(list("abc"), Y), class_names=list("abcd"))

    def test_names_are_labels_and_no_model_is_needed(self, kind):
        numbers = np.searchsorted(list("abc"), Y) + 7
        plain = kind(model="no such model", random_state=0).fit(X, numbers)
        assert plain.class_names_ == ["7", "8", "9"]
        np.testing.assert_array_equal(plain.score_samples(X), kind(random_state=0).fit(X, Y).score_samples(X))
