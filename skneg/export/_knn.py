"""The nearest neighbours as a graph: how `KNNDetector` looks for them cannot be traced."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._traced import Traced, with_rows


def trace_knn(detector: Any, state: Any, Z: Traced) -> tuple[Traced, Traced]:
    """Score and posterior of unit rows, as the detector gives them."""
    known, targets = state.neighbors_.astype(np.float64), state.neighbor_targets_
    rows = Z.astype(np.float64)
    squares = (rows * rows).sum(axis=1)[:, None] - 2 * (rows @ known.T) + np.square(known).sum(axis=1)
    k = min(detector.n_neighbors, len(known))
    distances, nearest = _smallest(np.sqrt(np.maximum(squares, 0.0)), k)
    is_copy = distances == 0.0  # of the image itself: nothing else counts beside it
    weights = 1 / np.where(is_copy, 1.0, distances)
    weights = np.where(is_copy[:, :1], is_copy.astype(np.float64), weights)
    votes = _sums(weights, _rows_of(targets, nearest), len(state.classes_))
    return -distances[:, k - 1], votes / votes.sum(axis=1, keepdims=True)


def _smallest(x: Traced, k: int) -> tuple[Traced, Traced]:
    """The k smallest values (n, k) of each row, ascending, and their columns."""
    columns = np.argsort(x.value, axis=1, kind="stable")[:, :k]
    wanted = x.graph.constant([k], np.int64)
    names = x.graph.node("TopK", x.name, wanted, n_outputs=2, axis=1, largest=0, sorted=1)
    values = np.take_along_axis(x.value, columns, 1)
    return Traced(x.graph, values, names[0]), Traced(x.graph, columns, names[1])


def _sums(values: Any, classes: Traced, n_classes: int) -> Traced:
    """The sum (n, n_classes) of each class's values in each row."""
    sums = np.zeros((len(values), n_classes))
    zeros = with_rows(sums, like=values)
    np.add.at(sums, (np.arange(len(values))[:, None], classes.value), values.value)
    names = zeros.name, classes.name, values.name
    return Traced(values.graph, sums, values.graph.node("ScatterElements", *names, axis=1, reduction="add"))


def _rows_of(table: np.ndarray, rows: Traced) -> Traced:
    name = rows.graph.node("Gather", rows.graph.constant(table), rows.name, axis=0)
    return Traced(rows.graph, table[rows.value], name)
