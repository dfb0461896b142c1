"""Nothing that belongs to the whole process is changed, in one thread or in several."""

import decimal
import gc
import locale
import logging
import os
import random
import signal
import socket
import sys
import threading
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

import skneg
from skneg import _sklearn
from skneg.backbone import _loading
from skneg.errors import CalibrationWarning, InputWarning

from ..conftest import takes

NAMES = [
    "NegPromptDetector", "KNNDetector", "LinearProbeDetector", "MahalanobisDetector", "MCMDetector",
    "WordsDetector", "ReActDetector",
]  # fmt: skip
ANSWERS = [
    "predict", "predict_proba", "score_samples", "decision_function", "p_values", "predict_set", "explain",
]  # fmt: skip


def process_state():
    """What all threads of a process share, and a library may be tempted to change."""
    loggers = [logging.getLogger(), *map(logging.getLogger, ("skneg", "open_clip", "torch", "PIL"))]
    numpy_state = np.random.mtrand._rand.get_state()  # that of the module's functions
    return {
        "warnings.filters": list(warnings.filters),
        "warnings.showwarning": warnings.showwarning,
        "random": hash(random.getstate()),
        "numpy.random": (numpy_state[1].tobytes(), *numpy_state[2:]),
        "torch random": torch.random.get_rng_state().numpy().tobytes(),
        "torch threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "torch grad": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "torch dtype": torch.get_default_dtype(),
        "torch deterministic": torch.are_deterministic_algorithms_enabled(),
        "torch cudnn": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "torch autocast": torch.is_autocast_enabled("cpu"),
        "numpy errors": np.geterr(),
        "numpy print": str(np.get_printoptions()),
        "PIL": (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, ImageFile.MAXBLOCK),
        "logging": [(log.level, list(log.handlers), list(log.filters), log.disabled) for log in loggers],
        "logging filters": [list(handler.filters) for handler in logging.getLogger().handlers],
        "logging disabled": logging.root.manager.disable,
        "locale": locale.setlocale(locale.LC_ALL),
        "environment": dict(os.environ),
        "working folder": os.getcwd(),
        "signals": [signal.getsignal(number) for number in signal.valid_signals()],
        "sys": (list(sys.path), sys.getrecursionlimit(), sys.excepthook, sys.stdout, sys.stderr),
        "decimal": str(decimal.getcontext()),
        "socket": socket.getdefaulttimeout(),
        "gc": (gc.isenabled(), gc.get_threshold()),
        "threads": sorted(thread.name for thread in threading.enumerate()),
    }


def changes(before):
    return {name: value for name, value in process_state().items() if value != before[name]}


def build(name, **parameters):
    cls = getattr(skneg, name)
    return cls(model="skneg-tiny", **takes(cls, random_state=0, **parameters))


def live(name, X, y, folder):
    """All that a detector can do, `explain` and files included."""
    detector = build(name).fit(X, y)
    for method in ANSWERS:
        getattr(detector, method)(X)
    detector.summary()
    list(detector.predict_stream(X, 10))
    detector.calibrate()
    detector.calibrate(X, y).calibrate_unknown(X[::-1][:12], accepted=0.5)
    detector.add_images(X[:6], y[:6])
    detector.set_vocabulary(dict(zip(detector.classes_.tolist(), detector.class_names_, strict=True)))
    file = Path(folder) / f"{name}{threading.get_ident()}.skneg"
    detector.save(file)
    skneg.load(file).set_params(verbose=False).predict(X)
    for bad in ([b"no image"], X[:, :0]):
        with pytest.raises(skneg.SknegError):
            detector.predict(bad)


@pytest.fixture
def small(scenes, embedded):
    rows = np.flatnonzero(np.isin(scenes[1], ["heart", "key", "star"]))[:36]
    return scenes[0][rows], embedded[0][rows], scenes[1][rows]


@pytest.fixture
def silent():
    """No warning is looked for here, and `pytest` has its own filters for each test."""
    with warnings.catch_warnings():
        for category in (CalibrationWarning, InputWarning):
            warnings.simplefilter("ignore", category)
        yield


def test_four_threads_change_nothing(small, silent, tmp_path):
    X, Z, y = small
    for name in NAMES:  # whatever is imported, loaded or registered for good
        live(name, X[:24], y[:24], tmp_path)
    before = process_state()
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(live, name, Z, y, tmp_path) for name in NAMES]
        jobs += [pool.submit(live, name, X[:24], y[:24], tmp_path) for name in NAMES[:3]]
        for job in jobs:
            job.result()
    assert changes(before) == {}


def test_loading_a_model_draws_from_no_generator_of_the_user(monkeypatch):
    monkeypatch.setattr(_loading, "_loaded", {})
    before = process_state()
    skneg.CLIPImageEncoder(model="skneg-tiny").backbone()
    assert changes(before) == {}


def test_the_encoder_and_its_cache_change_nothing(small, tmp_path):
    encoder = skneg.CLIPImageEncoder(model="skneg-tiny", cache=tmp_path)
    encoder.transform(small[0][:4])
    before = process_state()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(encoder.transform, [small[0][i : i + 8] for i in range(0, 24, 4)]))
    assert changes(before) == {}


@pytest.fixture
def entered(monkeypatch):
    """Who, below skneg, changes the filters of warnings without keeping other threads out."""
    stacks, enter = [], warnings.catch_warnings.__enter__

    def noted(self):
        stack = traceback.extract_stack()[:-1]
        is_ours = any(f"{os.sep}skneg{os.sep}" in frame.filename for frame in stack)
        is_import = any(frame.filename.startswith("<frozen importlib") for frame in stack)
        if is_ours and not is_import and not _sklearn._alone._lock._is_owned():
            stacks.append("\n".join(traceback.format_list(stack[-6:])))
        return enter(self)

    monkeypatch.setattr(warnings.catch_warnings, "__enter__", noted)
    return stacks


@pytest.mark.parametrize("name", NAMES)
def test_nobody_changes_the_filters_of_warnings(name, small, silent, entered, tmp_path):
    """`warnings.catch_warnings` is for one thread: two that overlap leave the wrong filters behind."""
    X, Z, y = small
    live(name, Z, y, tmp_path)
    live(name, X[:24], y[:24], tmp_path)
    live(name, Z, np.unique(y, return_inverse=True)[1], tmp_path) if name == "KNNDetector" else None
    assert [stack for stack in entered if "pytest" not in stack] == []


def test_for_other_forms_of_embeddings_neither(small, silent, entered):
    _, Z, y = small
    for of in (Z.tolist(), Z.astype(">f8"), np.asfortranarray(Z)):
        detector = build("KNNDetector").fit(of, y)
        np.testing.assert_allclose(
            detector.score_samples(of), build("KNNDetector").fit(Z, y).score_samples(Z)
        )
    assert entered == []
