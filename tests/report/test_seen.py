"""Sets of images in a report."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from skneg import CLIPImageEncoder, MCMDetector
from skneg.report._seen import Seen, see


def test_an_image_is_encoded_once(detector, known, monkeypatch):
    counted, encode = [], CLIPImageEncoder.transform
    monkeypatch.setattr(
        CLIPImageEncoder, "transform", lambda self, X: counted.append(len(X)) or encode(self, X)
    )
    seen = see(detector, known[0])
    assert counted == [60]
    np.testing.assert_allclose(seen.posterior, detector.predict_proba(seen.embeddings))
    np.testing.assert_array_equal(seen.why.score, detector.score_samples(seen.embeddings))


def test_sets_are_joined_with_their_own_pictures(detector, known, unknown):
    one, other = see(detector, known[0][:3]), see(detector, unknown[:2])
    both = Seen.joined({"one": one, "other": other})
    assert both.sets.tolist() == ["one"] * 3 + ["other"] * 2
    assert both.why.path.tolist() == [*map(str, known[0][:3]), *map(str, unknown[:2])]
    assert both[[4, 0]].pictures(32) == [other.pictures(32)[1], one.pictures(32)[0]]


def test_paths_and_embeddings_are_joined(detector, known, embedded):
    both = Seen.joined({"a": see(detector, known[0][:2]), "b": see(detector, embedded[0][:2])})
    assert both.why.path[2:].tolist() == ["", ""]
    assert both.pictures(32)[2:] == ["", ""]


@pytest.mark.parametrize("in_pipeline", [False, True])
def test_labels_go_with_their_images(in_pipeline, scenes, known):
    detector = MCMDetector(model="skneg-tiny")
    if in_pipeline:
        detector = make_pipeline(CLIPImageEncoder(model="skneg-tiny"), detector)
    seen = see(detector.fit(*scenes), known[0], np.array(known[1], dtype=object))
    assert seen[[7]].labels.tolist() == [known[1][7]]
    assert seen[[7]].sources[0][1] == 7
