"""What numpy computes with a traced array, the graph computes too, for any number of other rows."""

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

from skneg import scores
from skneg._softmax import log_softmax, logsumexp, softmax
from skneg._utils import scaled_rows
from skneg.export._graph import Graph
from skneg.export._traced import Traced, UntraceableError, with_rows

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(4, 6))


def first_column_is_best(x):
    best, others = x.argmax(axis=1), x.copy()
    others[np.arange(len(x)), best] = -np.inf
    return x[np.arange(len(x)), best] - logsumexp(others, axis=1)


STEPS = {
    "arithmetic": lambda x: 2 * -x / 3 + np.float64(1) - np.square(TABLE[0, :4]) * x,
    "a product": lambda x: x.astype(np.float32) @ TABLE.astype(np.float32),
    "types are promoted": lambda x: x.astype(np.float32) - TABLE[:, 0],
    "of another type": lambda x: np.divide(x.astype(np.float32), 0.01, dtype=np.float64),
    "reductions": lambda x: x.max(axis=1) + x.min(axis=-1) + x.sum(axis=1) * x.mean(axis=1),
    "kept axes": lambda x: x - x.max(axis=1, keepdims=True),
    "columns": lambda x: x[:, 1:3] + x[:, [3, 0]] + x[:, -1][:, None],
    "one column of each row": lambda x: x[np.arange(len(x)), x.argmax(axis=1)],
    "one column is struck out": first_column_is_best,
    "a constant for all rows": lambda x: np.stack([x.sum(axis=1), np.full(len(x), 0.5)], axis=1),
    "zeros for all rows": lambda x: np.zeros(x.shape) + x,
    "columns side by side": lambda x: np.concatenate([x, x[:, :0], -x], axis=1),
    "hstack": lambda x: np.hstack([x, -x]),
    "choices": lambda x: np.where(np.isnan(np.where([True, False, True, True], x, np.nan)), 0.25, x),
    "comparisons": lambda x: (x > 0) & ~(x >= 1) & (np.abs(x) < 0.5),
    "softmax": lambda x: softmax(x, axis=1) + np.exp(log_softmax(x, axis=1)),
    "groups": lambda x: logsumexp(x.reshape(len(x), 2, 2), axis=2),
    "einsum": lambda x: np.einsum("nd,de,ne->n", x, TABLE[:, :4], x, optimize=True),
    "logarithms": lambda x: np.log(np.exp(x)) + np.sqrt(np.abs(x)) + np.maximum(x, 0) - np.minimum(x, 0.0),
    "powers": lambda x: np.abs(x) ** 0.1,
    "sorted": lambda x: np.sort(x, axis=1)[:, 1:],
    "the largest": lambda x: np.partition(x, 2, axis=1)[:, 2:].mean(axis=1),
    "log of a sum": lambda x: np.logaddexp(0, x),
    "blocks of rows": lambda x: np.concatenate([part[:] for part in np.split(x, range(99, len(x), 99))]),
    "unit rows": lambda x: scaled_rows(x, np.abs(x).max(axis=-1, keepdims=True)),
}  # fmt: skip


def graph_of(function, rows):
    graph = Graph()
    result = function(Traced(graph, rows, "x"))
    graph.node("Identity", result.name, output="y")
    return result, graph.model({"x": (rows.dtype, rows.shape[1:])}, {"y": result.value})


@pytest.mark.parametrize("n_traced", [2, 4, 7], ids="traced with {} rows".format)
@pytest.mark.parametrize("step", STEPS)
def test_the_graph_computes_what_numpy_does(step, n_traced):
    function, rows = STEPS[step], RNG.normal(size=(n_traced, 4))
    result, model = graph_of(function, rows)
    np.testing.assert_allclose(result.value, function(rows), rtol=1e-15)
    for n in (1, 2, 9):
        new = RNG.normal(size=(n, 4))
        ours, wanted = ReferenceEvaluator(model).run(None, {"x": new})[0], function(new)
        assert ours.dtype == wanted.dtype
        assert ours.shape == wanted.shape
        np.testing.assert_allclose(
            ours, wanted, rtol=1e-5 if wanted.dtype == np.float32 else 1e-12, atol=1e-6
        )


def test_small_shares_keep_their_digits():
    _, model = graph_of(lambda x: scores.mcm(x, 0.01), np.eye(4))
    sure = np.array([[0.9, 0.1, 0.1, 0.1], [0.8, 0.1, 0.1, 0.1]])
    ours = ReferenceEvaluator(model).run(None, {"x": sure})[0]
    assert (ours < 0).all()
    np.testing.assert_allclose(ours, scores.mcm(sure, 0.01), rtol=1e-9)


REFUSED = {
    "values": lambda x: np.asarray(x),
    "a choice by values": lambda x: x if (x > 0).max(axis=1) else -x,
    "the mean row": lambda x: x - x.mean(axis=0),
    "some rows": lambda x: x[1:],
    "rows joined": lambda x: x.reshape(-1),
    "a value for each row": lambda x: x + np.arange(len(x))[:, None],
    "rows stacked": lambda x: np.stack([x, x]),
    "rows split": lambda x: np.split(x, [1]),
    "rows summed": lambda x: np.ones(len(x)) @ x,
    "rows summed by einsum": lambda x: np.einsum("nd,ne->de", x, x),
    "rows with rows": lambda x: x @ x,
    "a ufunc": lambda x: np.sin(x),
    "a reduction by a ufunc": lambda x: np.add.reduce(x, axis=1),
    "in place": lambda x: np.add(x, 1, out=x),
    "a function": lambda x: np.cumsum(x, axis=1),
    "sorted rows": lambda x: np.sort(x, axis=0),
    "a method": lambda x: x.cumsum(axis=1),
    "the largest norm": lambda x: np.linalg.norm(x, ord=np.inf, axis=1),
    "columns put in": lambda x: x.__setitem__((slice(None), 0), 0),
}  # fmt: skip


@pytest.mark.parametrize("step", REFUSED)
def test_what_no_graph_can_hold_is_refused(step):
    with pytest.raises(UntraceableError):
        REFUSED[step](Traced(Graph(), RNG.normal(size=(3, 4)), "x"))


def test_an_attribute_that_is_asked_for_is_simply_not_there():
    x = Traced(Graph(), np.zeros((2, 3)), "x")
    assert getattr(x, "embeddings", x) is x


def test_with_rows_leaves_a_traced_array_alone():
    x = Traced(Graph(), np.zeros((2, 3)), "x")
    assert with_rows(x, x) is x
