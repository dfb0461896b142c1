"""Fixtures: small scenes, and the real data where a machine has them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

# Before numpy and torch: on matrices as small as here, threads cost more than they save, and processes with
# other numbers of threads get other last bits.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

from skneg import CLIPImageEncoder
from skneg.datasets import make_scenes

# Before anything imports matplotlib: the displays' doctests must not open windows.
os.environ["MPLBACKEND"] = "Agg"

# Word embeddings of tests are kept apart from the user's own.
os.environ["SKNEG_CACHE"] = tempfile.mkdtemp(prefix="skneg-tests-")

KNOWN = ["anchor", "bottle", "heart", "key", "star", "umbrella"]
STRANGE = ["fish", "ladder", "crown", "tree"]


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real CLIP features; not part of this repository."""
    fallback = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SKNEG_DATA", fallback))
    if not (folder / "clip-vitb32-features").is_dir():
        pytest.skip(f"no real CLIP features in {folder}; set SKNEG_DATA to the folder that holds them")
    return folder


@pytest.fixture(scope="session")
def scenes() -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of six shapes, 20 each."""
    return make_scenes(120, shapes=KNOWN, random_state=0)


@pytest.fixture(scope="session")
def strange_scenes() -> np.ndarray:
    return make_scenes(80, shapes=STRANGE, random_state=1)[0]


@pytest.fixture(scope="session")
def embedded(scenes) -> tuple[np.ndarray, np.ndarray]:
    """The same scenes as embeddings."""
    X, y = scenes
    return CLIPImageEncoder(model="skneg-tiny").transform(X), y


@pytest.fixture(scope="session")
def mixed(scenes, strange_scenes):
    """Images of three classes and OOD rows."""
    X, y = scenes
    known = np.isin(y, ["heart", "key", "star"])
    X = np.concatenate([X[known], strange_scenes[:20]])
    return X, np.concatenate([y[known], np.full(20, "unknown")])


@pytest.fixture(scope="session")
def mixed_embeddings(mixed):
    return CLIPImageEncoder(model="skneg-tiny").transform(mixed[0]), mixed[1]


@pytest.fixture
def no_files(tmp_path):
    """Paths that are no regular files, by what they are."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no pipes with names")
    return paths_of_no_files(tmp_path / "no files")


def paths_of_no_files(folder):
    folder.mkdir()
    os.mkfifo(folder / "a pipe")
    (folder / "a folder").mkdir()
    (folder / "a loop").symlink_to(folder / "a loop")
    (folder / "a link").symlink_to("/dev/zero")
    # pytest-socket refuses the class of sockets itself, also for one that reaches no network.
    run_python("import socket; socket.socket(socket.AF_UNIX).bind('a socket')", cwd=folder)
    return {"a device": Path("/dev/zero"), **{path.name: path for path in folder.iterdir()}}


@pytest.fixture
def at_once():
    """Ends a test that waits for something which never comes."""

    def give_up(*_):
        pytest.fail("this waits for ever")  # no Exception, which a reader would make one of its own

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def run_python(code, cwd=None):
    """What code prints in a process of its own, which must end well."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def random_unit(rng, n, *rest):
    """Random vectors of length 1, float32: (n, 16), or of another shape."""
    rows = rng.normal(size=(n, *(rest or (16,)))).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def takes(cls, **parameters):
    """Those of the parameters that a class has."""
    return {name: value for name, value in parameters.items() if name in cls._get_param_names()}


def with_recipe(cls, **parameters):
    """A detector with those parameters of the recipe that are given beside its own."""
    recipe = type(cls.default_recipe)
    own = {name: value for name, value in parameters.items() if name in cls._get_param_names()}
    parts = {name: value for name, value in parameters.items() if name not in own}
    return cls(recipe=recipe(**parts), **own)
