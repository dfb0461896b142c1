import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from skneg.errors import MissingDependencyError
from skneg.export._graph import Graph, onnx_package


def doubled():
    graph = Graph("ours_")
    graph.node("Neg", "x")  # nobody needs it
    graph.node("Mul", "x", graph.constant(2.0, np.float32), output="y")
    return graph.model({"x": (np.float32, (3,))}, {"y": np.zeros((5, 3), np.float32)})


def test_a_graph_computes_for_any_number_of_rows():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert (ReferenceEvaluator(doubled()).run(None, {"x": x})[0] == 2 * x).all()


def test_it_is_valid_and_its_rows_have_a_name():
    model = doubled()
    onnx.checker.check_model(model, full_check=True)
    for value in (*model.graph.input, *model.graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "n"


def test_nodes_that_no_output_needs_are_left_out():
    assert [node.op_type for node in doubled().graph.node] == ["Mul"]


def test_a_constant_is_held_once():
    graph = Graph()
    assert graph.constant([1.0, 2.0]) == graph.constant(np.array([1.0, 2.0]))
    assert len({graph.constant(value) for value in (1, 1.0, [1.0], np.float32(1))}) == 4


@pytest.mark.parametrize(("value", "bytes_of_one"), [(0.5, 4), (0.1, 8), (1e300, 8)])
def test_a_large_constant_is_halved_where_nothing_is_lost(value, bytes_of_one):
    large, graph = np.full((40, 50), value), Graph()
    graph.node("Add", "x", graph.constant(large), output="y")
    model = graph.model({"x": (np.float64, (50,))}, {"y": large})
    assert 0 < model.ByteSize() - 2000 * bytes_of_one < 1000
    zeros = np.zeros((40, 50))
    assert (ReferenceEvaluator(model).run(None, {"x": zeros})[0] == value).all()


def test_a_node_with_several_outputs_names_each():
    names = Graph().node("TopK", "x", "k", n_outputs=2)
    assert len(set(names)) == 2


def test_without_onnx_the_way_out_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'skneg\[onnx\]'"):
        onnx_package()
