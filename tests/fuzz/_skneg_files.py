"""Files of detectors: as they are, and sealed anew, so that the seal does not hide what lies behind it."""

import contextlib
import functools
import pickle
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from sklearn.base import clone

import skneg
from skneg._commands._info import info
from skneg._files import _DIGEST, _digest, pack, unpack
from skneg.errors import PersistenceError, SknegError

from .._forked import RIGHT
from ..faults._tiny import tiny_fitted
from ..persistence.conftest import assert_answers_alike, with_bank
from ..persistence.test_golden import FILES
from ..test_common import NAMES
from ._bytes import damaged, damaged_behind
from ._target import Target, one_of
from ._values import spoiled, spoiled_arrays

_MEGABYTES = 300  # as in tests/persistence/test_bombs.py


def targets(whole):
    # ZOC's own holds a function, which no file does.
    files = _files([name for name in NAMES if name != "ZOCDetector"] if whole else ["KNNDetector"])
    behind = [file[_DIGEST.stop :] for file in files]

    def sealed_anew(rng):
        return sealed(damaged_behind(_DIGEST.stop, one_of(files, rng), rng, behind))

    return [
        Target(
            "skneg", lambda rng: damaged(one_of(files, rng), rng, files), functools.partial(_damaged, files)
        ),
        Target("skneg, sealed anew", sealed_anew, _read, megabytes=_MEGABYTES),
        Target("skneg, other values", lambda rng: _other_values(files, rng), _read, megabytes=_MEGABYTES),
    ]


def _files(names):
    """The kept files of earlier versions, and new ones."""
    files = [file.read_bytes() for file in FILES]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.skneg"
        for detector in (with_bank(["cat", "dog", "newt"])[0], *map(tiny_fitted, names)):
            detector.save(path)
            files.append(path.read_bytes())
    return files


def sealed(data):
    """Bytes with the right checksum, wherever they come from."""
    data = bytearray(data)
    if len(data) > _DIGEST.stop:
        data[_DIGEST] = _digest(data)
    return bytes(data)


def _other_values(files, rng):
    """Well-formed JSON and tensors that no `save` has written."""
    header, tensors = unpack(one_of(files, rng), "")
    if rng.random() < 0.7:
        part = one_of([header, header["detector"], header["detector"]["attributes"]], rng)
        new = spoiled(part, rng)
        if part is header or not isinstance(new, dict):
            header = new
        else:
            part.clear()
            part.update(new)
    else:
        tensors = spoiled_arrays(tensors, rng)
    try:
        return bytes(pack(header, tensors))
    except PersistenceError:  # too large a header
        return _other_values(files, rng)


def _damaged(files, data, folder):
    """With the old seal only the old bytes are a file."""
    told = _read(data, folder)
    assert data in files, "a damaged file was read"
    return told


def _read(data, folder):
    """A file is refused, or it is a detector in all that it does."""
    path = folder / "a.skneg"
    path.write_bytes(data)
    for as_json in (True, False):
        with contextlib.suppress(SknegError):
            info(SimpleNamespace(file=path, json=as_json))
    detector = skneg.load(path)
    repr(detector), clone(detector)
    one = detector._members().detectors[0] if isinstance(detector, skneg.ScoreEnsemble) else detector
    repr(one), one.summary()
    if one.needs == "pixels":
        return RIGHT
    X = getattr(one.calibration_embeddings_, "embeddings", one.calibration_embeddings_)[:4]
    check_answers(detector, X)
    assert_answers_alike(detector, pickle.loads(pickle.dumps(detector)), X)
    detector.save(path)
    assert_answers_alike(detector, skneg.load(path), X)
    detector.calibrate()
    check_answers(detector, X)
    return RIGHT


def check_answers(detector, X):
    """Each answer is what its documentation says."""
    n, classes = len(X), detector.classes_.tolist()
    scores, p_values = detector.score_samples(X), detector.p_values(X)
    posterior = detector.predict_proba(X)
    for values in (scores, p_values, detector.decision_function(X)):
        assert (values.shape, values.dtype) == ((n,), np.float64)
        assert np.isfinite(values).all()
    assert ((p_values > 0) & (p_values <= 1)).all()
    assert posterior.shape == (n, len(classes))
    np.testing.assert_allclose(posterior.sum(axis=1), 1, rtol=1e-6)
    nearest, unknown = posterior.argmax(axis=1), detector.unknown_label_
    rejected = (unknown is not None) & (scores < detector.offset_)
    expected = [unknown if out else classes[k] for out, k in zip(rejected, nearest, strict=True)]
    assert detector.predict(X).tolist() == expected
    if hasattr(detector, "explain"):
        assert detector.explain(X).answer.tolist() == expected
        with contextlib.suppress(SknegError):  # a threshold of images without labels says nothing of classes
            assert detector.predict_set(X, alpha=0.1).shape == posterior.shape
