"""Saved detectors, and what tests of files do with them."""

import hashlib

import numpy as np
import pytest

import skneg
from skneg._files import pack, unpack

METHODS = ("score_samples", "decision_function", "predict", "predict_proba", "p_values")


def assert_answers_alike(one, other, X):
    for method in METHODS:
        if hasattr(one, method):
            np.testing.assert_array_equal(getattr(one, method)(X), getattr(other, method)(X), strict=True)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def forge(path, change):
    """Change a file's header as an attacker would, with the right checksum."""
    header, tensors = unpack(path.read_bytes(), "")
    change(header, tensors)
    path.write_bytes(pack(header, tensors))
    return path


def with_bank(names, width=16, seed=0, **parameters):
    """A detector that needs no backbone, fitted on points around its text embeddings."""
    rng = np.random.default_rng(seed)
    bank = rng.normal(size=(len(names), width)).astype(np.float32)
    X = np.repeat(bank, 10, axis=0) + rng.normal(scale=0.2, size=(10 * len(names), width))
    return skneg.MCMDetector(text_bank=bank, class_names=names, **parameters).fit(X), X


@pytest.fixture
def saved(tmp_path):
    detector, X = with_bank(["cat", "dog", "newt"])
    detector.save(tmp_path / "a.skneg")
    return tmp_path / "a.skneg", detector, X


@pytest.fixture(scope="session")
def learned(embedded):
    X, y = embedded
    recipe = skneg.PromptRecipe(positive_steps=2, negative_steps=2)
    return skneg.NegPromptDetector(model="skneg-tiny", recipe=recipe, random_state=0).fit(X, y)


@pytest.fixture(scope="session")
def no_encoder(tmp_path_factory):
    path = tmp_path_factory.mktemp("clipn") / "no.safetensors"
    X, _, captions = skneg.datasets.make_scenes(64, return_captions=True, random_state=0)
    skneg.train_no_encoder(X, list(captions), model="skneg-tiny", n_epochs=1, random_state=0, out=path)
    return path
