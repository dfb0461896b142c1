import pytest

import skneg
from skneg import CalibrationWarning, KNNDetector, MCMDetector, NegPromptDetector


def test_it_says_what_was_fitted(embedded):
    lines = MCMDetector(model="skneg-tiny", contamination=0.1).fit(*embedded).summary().splitlines()
    assert lines[0] == "MCMDetector with skneg-tiny"
    assert lines[1] == "6 classes: anchor, bottle, heart, key, star, umbrella"
    assert lines[2].startswith("120 images set the threshold ")
    assert "about 10% of new images" in lines[2]
    assert len(lines) == 3


def test_it_says_how_training_images_were_scored_and_what_parts_count(embedded):
    detector = NegPromptDetector(model="skneg-tiny", evidence="images", random_state=0).fit(*embedded)
    told = detector.summary()
    assert f"120 images set the threshold {detector.offset_:.4f}, each scored without itself" in told
    assert f"images {detector.evidence_weights_['images']:.2f}" in told
    assert KNNDetector(random_state=0).fit(*embedded).summary().startswith("KNNDetector, no model used")


def test_a_loaded_detector_says_the_same(embedded, tmp_path):
    detector = MCMDetector(model="skneg-tiny").fit(*embedded)
    detector.save(tmp_path / "a.skneg")
    assert skneg.load(tmp_path / "a.skneg").summary() == detector.summary()


class TestThePromise:
    def test_follows_images_that_are_known_to_be_unknown(self, embedded):
        detector = MCMDetector(model="skneg-tiny", contamination=0.1).fit(*embedded)
        assert "about 10% of new images" in detector.summary()
        detector.calibrate_unknown(embedded[0], cost=100.0)  # as if all were unknown
        share = (detector.calibration_scores_ < detector.offset_).mean()
        assert share > 0.5
        assert f"about {100 * share:.3g}% of new images" in detector.summary()

    def test_of_few_images_is_what_their_smallest_score_gives(self, embedded):
        X, y = embedded
        with pytest.warns(CalibrationWarning, match="too few"):
            detector = MCMDetector(model="skneg-tiny").fit(X[:9], y[:9])
        assert "about 10% of new images" in detector.summary()
