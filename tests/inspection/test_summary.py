import skneg
from skneg import KNNDetector, MCMDetector, NegPromptDetector


def test_it_says_what_was_fitted(embedded):
    lines = MCMDetector(model="skneg-tiny", contamination=0.1).fit(*embedded).summary().splitlines()
    assert lines[0] == "MCMDetector with skneg-tiny"
    assert lines[1] == "6 classes: anchor, bottle, heart, key, star, umbrella"
    assert lines[2].startswith("120 images set the threshold, ")
    assert "about 10% of new images" in lines[2]
    assert len(lines) == 3


def test_it_says_how_training_images_were_scored_and_what_parts_count(embedded):
    detector = NegPromptDetector(model="skneg-tiny", evidence="images", random_state=0).fit(*embedded)
    told = detector.summary()
    assert "120 images set the threshold, each scored without itself" in told
    assert f"images {detector.evidence_weights_['images']:.2f}" in told
    assert KNNDetector(random_state=0).fit(*embedded).summary().startswith("KNNDetector, no model used")


def test_a_loaded_detector_says_the_same(embedded, tmp_path):
    detector = MCMDetector(model="skneg-tiny").fit(*embedded)
    detector.save(tmp_path / "a.skneg")
    assert skneg.load(tmp_path / "a.skneg").summary() == detector.summary()
