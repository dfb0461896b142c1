"""Files in tests/golden that an earlier skneg wrote: they load for ever, and answer as they did.

``python -m tests.persistence.test_golden``, from the repository's folder, made them. Until the first release
they may be written anew, with its format. After it they never change: a release with another format gets
files of its own beside them, and still reads these (docs/persistence.md).
"""

import shutil
from pathlib import Path

import numpy as np
import pytest

import skneg
from skneg.datasets import COLORS, make_scenes
from skneg.errors import PersistenceError
from skneg.persistence._header import FORMAT

from .conftest import forge

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = sorted(GOLDEN.glob("*.skneg"))
SHAPES = ["heart", "key", "star"]


def _write_all():
    """Fit small detectors and write their files, each with embeddings and what it answers to them."""
    X, y = make_scenes(45, shapes=SHAPES, random_state=0)
    strange = make_scenes(8, shapes=["fish", "tree"], random_state=1)[0]
    encoder = skneg.CLIPImageEncoder(model="skneg-tiny")
    X, new = encoder.transform(X), encoder.transform(np.concatenate([X[:8], strange]))
    common = {"model": "skneg-tiny", "contamination": np.float32(0.1)}
    words = skneg.Words([*COLORS, "circle", "square"], fraction=0.5, max_cosine=1.01)
    negprompt = skneg.NegPromptDetector(words=words, random_state=np.random.RandomState(0), **common)
    members = [skneg.MCMDetector(**common), skneg.KNNDetector(random_state=0, **common)]
    for name, detector in {"negprompt": negprompt, "ensemble": skneg.ScoreEnsemble(members)}.items():
        detector.fit(X, y).save(GOLDEN / f"{name}.skneg")
        np.savez(GOLDEN / f"{name}.npz", X=new, **_answers(detector, new))


def _answers(detector, X):
    methods = ("score_samples", "decision_function", "p_values", "predict_proba", "predict")
    return {name: getattr(detector, name)(X) for name in methods if hasattr(detector, name)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_old_file_loads_and_answers_as_it_did(file):
    detector = skneg.load(file)
    expected = dict(np.load(file.with_suffix(".npz")))
    X = expected.pop("X")
    found = _answers(detector, X)
    assert found.keys() == expected.keys()
    np.testing.assert_array_equal(found.pop("predict"), expected.pop("predict"))
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5, err_msg=name)
    assert sorted(detector.classes_) == SHAPES


def test_there_are_small_files_of_several_kinds():
    assert len(FILES) >= 2
    assert all(file.stat().st_size < 200_000 for file in GOLDEN.iterdir())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_newer_format_is_refused_with_the_version_that_it_needs(file, tmp_path):
    def change(header, tensors):
        header["format"], header["versions"]["skneg"] = FORMAT + 1, "7.3.0"

    newer = forge(Path(shutil.copy(file, tmp_path)), change)
    message = f"format {FORMAT + 1}.*formats up to {FORMAT}.*written by skneg 7.3.0: upgrade"
    with pytest.raises(PersistenceError, match=message):
        skneg.load(newer)


if __name__ == "__main__":
    _write_all()
