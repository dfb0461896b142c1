"""What a detector takes as X, and what it makes of it."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone

import skneg
from skneg import (
    CLIPImageEncoder,
    GLMCMDetector,
    KNNDetector,
    LinearProbeDetector,
    MahalanobisDetector,
    MCMDetector,
    NegPromptDetector,
    ScoreEnsemble,
    _reading,
)
from skneg._reading import count_images, loaded_backbone, noting_models
from skneg.errors import BackboneError, InputError, InputTypeError

WHOLE = [
    info.name
    for info in skneg.list_detectors()
    if "pixels" not in info.needs and info.needs != "local features"
]
NEEDED = {
    "EOEDetector": {"outlier_names": ["circle", "square"]},
    "NegLabelDetector": {"words": ["circle", "square"], "n_groups": 1},
    "CSPDetector": {"words": ["circle", "square"], "adjectives": ["red"], "n_groups": 1},
    "NegRefineDetector": {"words": ["circle", "square"], "adjectives": ["red"], "n_groups": 1},
}


def mcm() -> MCMDetector:
    return MCMDetector(model="skneg-tiny")


@pytest.fixture(scope="module")
def small(embedded):
    X, y = embedded
    return X[:60], y[:60]


class OtherArray:
    """An array of a library that skneg has never heard of."""

    def __init__(self, values):
        self._values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self._values, dtype=dtype)

    def __len__(self):
        return len(self._values)


@pytest.mark.parametrize(
    ("convert", "tolerance"),
    [
        (np.float64, 1e-6),
        (np.float16, 2e-3),
        (np.asfortranarray, 0),
        (lambda X: X[::-1].copy()[::-1], 0),
        (pd.DataFrame, 0),
        (lambda X: X.astype(float).tolist(), 1e-6),
        (OtherArray, 0),
    ],
    ids=["float64", "float16", "Fortran order", "negative strides", "DataFrame", "nested list", "__array__"],
)
def test_embeddings_may_come_in_any_container_of_floats(convert, tolerance, small):
    X, y = small
    detector, expected = mcm().fit(convert(X), y), mcm().fit(X, y)
    np.testing.assert_allclose(
        detector.decision_function(convert(X)), expected.decision_function(X), atol=tolerance
    )


def test_read_only_memmaps_are_taken_and_left_alone(small, tmp_path):
    X, y = small
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    np.testing.assert_array_equal(
        mcm().fit(mapped, y).score_samples(mapped), mcm().fit(X, y).score_samples(X)
    )
    np.testing.assert_array_equal(np.load(tmp_path / "X.npy"), X)


@pytest.mark.parametrize("name", [*WHOLE, "ScoreEnsemble"])
@pytest.mark.parametrize(
    ("convert", "error", "message"),
    [
        (sparse.csr_matrix, InputTypeError, "toarray"),
        (sparse.csr_array, InputTypeError, "toarray"),
        (lambda X: (100 * X).astype(np.int64), InputError, "int64: embeddings are 2-D float arrays"),
        (lambda X: X.astype(object), InputError, "object: embeddings are 2-D float arrays"),
        (lambda X: X.astype(complex), InputError, "Complex data not supported"),
        (lambda X: X[0], InputError, r"X.reshape\(1, -1\)"),
        (lambda X: pd.DataFrame(X).astype({0: object}), InputTypeError, "a table of float embeddings"),
        (lambda X: X[:0], InputError, "0 sample"),
        (lambda X: np.where(X[3, 0] == X, np.nan, X), InputError, "row 3"),
    ],
    ids=["matrix", "sparse array", "integers", "objects", "complex", "1-D", "mixed table", "empty", "NaN"],
)
def test_other_numbers_are_refused_by_type(name, convert, error, message, small, monkeypatch):
    monkeypatch.setattr(skneg.CLIPNDetector, "_no_tower", lambda self: self._backbone().text_tower)
    X, y = small
    if name == "ScoreEnsemble":
        detector = ScoreEnsemble([mcm()])
    else:
        detector = getattr(skneg, name)(model="skneg-tiny", **NEEDED.get(name, {}))
    bad = convert(X)
    labels = y[: bad.shape[0]] if np.ndim(bad) != 1 else y[:1]
    with pytest.raises(error, match=message):
        detector.fit(bad, labels)
    with pytest.raises(error, match=message):
        ScoreEnsemble([mcm().fit(X, y)]).predict(bad)


def test_images_are_counted_without_decoding_any():
    assert count_images(mcm(), ["no", "such", "files"]) == 3
    assert count_images(mcm(), np.zeros((4, 128))) == 4


def test_patches_are_taken_by_what_looks_at_them_alone(scenes):
    patches = CLIPImageEncoder(model="skneg-tiny", local=True).transform(scenes[0][:20])
    local = GLMCMDetector(model="skneg-tiny").fit(patches, scenes[1][:20])
    assert local.predict(patches).shape == (20,)
    with pytest.raises(InputError, match="3-D|three|2-D"):
        mcm().fit(patches, scenes[1][:20])


def test_models_are_noted_within_the_context_only(scenes):
    with noting_models() as used:
        loaded_backbone(mcm())
    loaded_backbone(mcm())
    assert used == ["skneg-tiny"]


def test_the_model_that_a_file_names_is_checked_before_it_is_used(scenes):
    detector = mcm().fit(*scenes)
    expected = {"name": "skneg-tiny", "sha256": "0" * 64, "settings": {}}
    vars(detector)["_state"] = SimpleNamespace(backbone=expected)
    with pytest.raises(BackboneError, match="needs the model 'skneg-tiny' with weights of sha256 0000"):
        detector._backbone()


@pytest.mark.parametrize(
    "detector",
    [
        mcm(),
        KNNDetector(random_state=0),
        MahalanobisDetector(random_state=0),
        LinearProbeDetector(random_state=0),
        NegPromptDetector(model="skneg-tiny", evidence="images", random_state=0),
    ],
    ids=lambda detector: type(detector).__name__,
)
def test_blocks_of_rows_change_no_answer(detector, small, monkeypatch):
    fitted, new = clone(detector).fit(*small), small[0] + np.float32(0.01)
    calls = (fitted.score_samples, fitted.predict, fitted.predict_proba, fitted.predict_set)
    whole = [call(new) for call in calls]
    monkeypatch.setattr(_reading, "_CELLS", 1)
    monkeypatch.setattr(_reading, "_ROWS", 7)
    for call, expected in zip(calls, whole, strict=True):
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(call(new), expected, atol=1e-5)
        else:
            assert (call(new) == expected).all()
    bad = new.copy()
    bad[[20, 30]] = np.nan
    with pytest.raises(InputError, match="row 20"):
        fitted.predict(bad)


def test_a_prediction_takes_little_memory():
    rng = np.random.default_rng(0)
    Z, texts = (rng.standard_normal((n, 64), dtype=np.float32) for n in (200_000, 500))
    names = [f"class {number}" for number in range(500)]
    detector = MCMDetector(text_bank=texts, class_names=names).fit(Z[:100])
    tracemalloc.start()
    detector.predict(Z)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150e6  # its posteriors alone would be 800 MB
