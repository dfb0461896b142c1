import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from skneg import MaxLogitDetector, TextBank
from skneg.errors import PersistenceError
from skneg.export import _check, _onnx


@pytest.fixture(scope="module")
def detector():
    bank = TextBank.from_positives(np.eye(3, 8, dtype=np.float32))
    X = np.repeat(np.eye(3, 8), 10, axis=0) + np.random.default_rng(0).normal(scale=0.2, size=(30, 8))
    return MaxLogitDetector(text_bank=bank).fit(X, class_names=["ant", "bee", "cat"])


@pytest.fixture
def rows():
    return np.random.default_rng(1).normal(size=(20, 8)).astype(np.float32)


@pytest.fixture
def graph(detector, rows):
    return _onnx._head(detector, detector._fitted(), rows)


def test_the_detectors_own_graph_passes(detector, graph, rows):
    _check.check(detector, graph, {"embeddings": rows}, rows)


def change(graph, old, new):
    for constant in graph.graph.initializer:
        values = numpy_helper.to_array(constant)
        if values.shape == np.shape(old) and np.allclose(values, old):
            constant.CopyFrom(numpy_helper.from_array(np.asarray(new, values.dtype), constant.name))
            return
    raise AssertionError("no such constant")


def test_another_score_is_refused(detector, graph, rows):
    bank = np.eye(8, 3)
    change(graph, bank, bank * 1.001)
    with pytest.raises(PersistenceError, match=r"MaxLogitDetector gives .* as 'score'"):
        _check.check(detector, graph, {"embeddings": rows}, rows)


def test_another_class_is_refused(detector, graph, rows):
    for node in graph.graph.node:
        if node.op_type == "ArgMax":
            node.op_type = "ArgMin"
    with pytest.raises(PersistenceError, match="'class_index'"):
        _check.check(detector, graph, {"embeddings": rows}, rows)


def test_another_threshold_is_refused(detector, graph, rows):
    change(graph, detector.offset_, detector.offset_ - 0.5)
    with pytest.raises(PersistenceError, match="'is_unknown'"):
        _check.check(detector, graph, {"embeddings": rows}, rows)


def test_rounding_may_decide_on_the_threshold_itself(detector, graph):
    kept = np.asarray(detector.calibration_embeddings_)
    row = kept[np.argmin(np.abs(detector.score_samples(kept) - detector.offset_))][None]
    assert detector.decision_function(row)[0] == 0
    _check.check(detector, graph, {"embeddings": row}, row)


def test_what_is_no_graph_is_refused(detector, graph, rows):
    del graph.graph.node[0]
    with pytest.raises(onnx.checker.ValidationError):
        _check.check(detector, graph, {"embeddings": rows}, rows)


def test_a_file_that_would_be_too_large_is_refused(detector, graph, rows, monkeypatch):
    monkeypatch.setattr(_check, "_LARGEST", 100)
    with pytest.raises(PersistenceError, match="images=False"):
        _check.check(detector, graph, {"embeddings": rows}, rows)


def test_without_onnxruntime_the_graph_is_only_read(detector, graph, rows, monkeypatch):
    monkeypatch.setattr(_check, "find_spec", lambda name: None)
    change(graph, detector.offset_, detector.offset_ - 0.5)
    _check.check(detector, graph, {"embeddings": rows}, rows)
