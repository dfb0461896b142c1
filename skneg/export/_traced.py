"""An array that records what numpy computes with it as an ONNX graph.

A detector's own score runs once on a few rows, as `Traced` arrays: they hold values, so that shapes and
types are numpy's, and write down each step. So no score is written twice. The first dimension of a traced
array is that of its rows, of whatever number; what is computed otherwise is refused, and so is numpy code
that needs the values themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from .._softmax import log_softmax, logsumexp, scaled, softmax
from ._graph import Graph

_UFUNCS = {
    "absolute": "Abs", "add": "Add", "bitwise_and": "And", "divide": "Div", "equal": "Equal", "exp": "Exp",
    "greater": "Greater", "greater_equal": "GreaterOrEqual", "invert": "Not", "isnan": "IsNaN",
    "less": "Less", "less_equal": "LessOrEqual", "log": "Log", "logical_and": "And", "logical_not": "Not",
    "matmul": "MatMul", "maximum": "Max", "minimum": "Min", "multiply": "Mul", "negative": "Neg",
    "power": "Pow", "sqrt": "Sqrt", "subtract": "Sub",
}  # fmt: skip
_FUNCTIONS: dict[Any, Callable[..., Any]] = {}


class UntraceableError(TypeError, AttributeError):
    """What numpy was asked for cannot be written as a graph."""


class Traced(NDArrayOperatorsMixin):
    """Rows of values, and the name that they have in a graph.

    Parameters
    ----------
    graph : Graph
    value : ndarray of shape (n, ...)
        With n > 1.
    name : str
        Of the same values in the graph.
    """

    def __init__(self, graph: Graph, value: np.ndarray, name: str) -> None:
        self.graph, self.value, self.name = graph, value, name

    shape = property(lambda self: self.value.shape)
    dtype = property(lambda self: self.value.dtype)
    ndim = property(lambda self: self.value.ndim)

    def __len__(self) -> int:
        return len(self.value)

    def __getattr__(self, name: str) -> Any:
        raise UntraceableError(f"{name!r} of an array is not known")

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise UntraceableError("a step needs the values of the rows")

    def __bool__(self) -> bool:
        raise UntraceableError("what is computed depends on the values of the rows")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Traced:
        if method != "__call__" or set(kwargs) - {"dtype"}:
            raise UntraceableError(f"numpy.{ufunc.__name__}.{method} with {sorted(kwargs)} is not known")
        if ufunc is np.logaddexp:
            return _logaddexp(*inputs)
        if ufunc.__name__ not in _UFUNCS:
            raise UntraceableError(f"numpy.{ufunc.__name__} is not known")
        plain = [_value(x) for x in inputs]
        is_product = ufunc is np.matmul
        if is_product and (plain[0].ndim < 2 or isinstance(inputs[1], Traced)):
            raise UntraceableError("rows are summed in a product")
        with np.errstate(all="ignore"):
            value = ufunc(*plain, **kwargs)
        dtype = kwargs.get("dtype") or np.result_type(*plain)
        names = [self._named(x, dtype, 0 if is_product else value.ndim) for x in inputs]
        return self._new(value, _UFUNCS[ufunc.__name__], *names)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func not in _FUNCTIONS:
            raise UntraceableError(f"numpy.{func.__name__} is not known")
        return _FUNCTIONS[func](*args, **kwargs)

    def __getitem__(self, key: Any) -> Traced:
        rows, *others = key if isinstance(key, tuple) else (key,)
        if self._is_one_of_each(rows, others):
            columns = others[0][:, None]
            value = np.take_along_axis(self.value, columns.value, 1)
            return self._new(value, "GatherElements", self.name, columns.name, axis=1).reshape(len(self))
        if not isinstance(rows, slice) or rows.indices(len(self)) != (0, len(self), 1):
            raise UntraceableError("some of the rows are taken")
        result, axis = self, 1
        for other in others:
            result, axis = result._pick(other, axis)
        return result

    def __setitem__(self, key: Any, value: Any) -> None:
        rows, *others = key if isinstance(key, tuple) else (key,)
        if np.ndim(value) or not self._is_one_of_each(rows, others):
            raise UntraceableError("values are put into an array")
        columns = others[0][:, None]
        updates = with_rows(np.full(columns.shape, value, self.dtype), like=self)
        changed = self.value.copy()
        np.put_along_axis(changed, columns.value, value, 1)
        new = self._new(changed, "ScatterElements", self.name, columns.name, updates.name, axis=1)
        self.value, self.name = new.value, new.name

    def astype(self, dtype: Any, copy: bool = True) -> Traced:
        if np.dtype(dtype) == self.dtype:
            return self.copy()
        return self._new(self.value.astype(dtype), "Cast", self.name, to=self.graph.kind(dtype))

    def copy(self) -> Traced:
        return Traced(self.graph, self.value, self.name)

    def reshape(self, *shape: Any) -> Traced:
        shape = shape[0] if isinstance(shape[0], tuple) else shape
        if shape[0] != len(self):
            raise UntraceableError("rows are joined or split")
        value = self.value.reshape(shape)
        return self._new(value, "Reshape", self.name, self.graph.constant([0, *value.shape[1:]], np.int64))

    def max(self, axis: Any = None, keepdims: bool = False) -> Traced:
        return self._reduced("ReduceMax", np.max, axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Traced:
        return self._reduced("ReduceMin", np.min, axis, keepdims)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Traced:
        return self._reduced("ReduceSum", np.sum, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Traced:
        return self._reduced("ReduceMean", np.mean, axis, keepdims)

    def argmax(self, axis: Any = None) -> Traced:
        axis = self._inner(axis)
        return self._new(self.value.argmax(axis), "ArgMax", self.name, axis=axis, keepdims=0)

    def _new(self, value: np.ndarray, op: str, *names: str, **attributes: Any) -> Traced:
        return Traced(self.graph, value, self.graph.node(op, *names, **attributes))

    def _inner(self, axis: Any) -> int:
        if axis is None or axis % self.ndim == 0:
            raise UntraceableError("rows are reduced")
        return axis % self.ndim

    def _reduced(self, op: str, function: Any, axis: Any, keepdims: bool) -> Traced:
        axes = [self._inner(a) for a in (axis if isinstance(axis, tuple) else [axis])]
        value = function(self.value, axis=tuple(axes), keepdims=keepdims)
        return self._new(value, op, self.name, self.graph.constant(axes, np.int64), keepdims=int(keepdims))

    def _is_one_of_each(self, rows: Any, others: Sequence[Any]) -> bool:
        """Whether an index is that of one column in each row."""
        is_each = isinstance(rows, np.ndarray) and np.array_equal(rows, np.arange(len(self)))
        return is_each and len(others) == 1 and isinstance(others[0], Traced)

    def _pick(self, key: Any, axis: int) -> tuple[Traced, int]:
        """What one part of an index, of one axis, gives, and the axis of the next part."""
        if key is None:
            value = np.expand_dims(self.value, axis)
            return self._new(value, "Unsqueeze", self.name, self.graph.constant([axis], np.int64)), axis + 1
        numbers = np.arange(self.shape[axis])[key]
        value = np.take(self.value, numbers, axis)
        picked = self._new(value, "Gather", self.name, self.graph.constant(numbers, np.int64), axis=axis)
        return picked, axis + numbers.ndim

    def _named(self, x: Any, dtype: Any, ndim: int) -> str:
        """The name of an operand, of a type; a constant that has rows must have the same in each."""
        if isinstance(x, Traced):
            return x.astype(dtype).name
        x = np.asarray(x, dtype=dtype)
        if ndim and x.ndim == ndim and len(x) == len(self) > 1:
            x = _one_row(x)
        return self.graph.constant(x)


def _one_row(x: np.ndarray) -> np.ndarray:
    if not np.array_equal(x, np.broadcast_to(x[:1], x.shape), equal_nan=x.dtype.kind == "f"):
        raise UntraceableError("a constant has a value for each row")
    return x[:1]


def _value(x: Any) -> Any:
    return x.value if isinstance(x, Traced) else x


def _first(arrays: Sequence[Any]) -> Traced:
    return next(array for array in arrays if isinstance(array, Traced))


def _implements(*functions: Any) -> Callable[[Any], Any]:
    def note(implementation: Any) -> Any:
        _FUNCTIONS.update(dict.fromkeys(functions, implementation))
        return implementation

    return note


def with_rows(x: Any, like: Traced) -> Traced:
    """A constant that has the same values in each row, as one that has as many rows as another array."""
    if isinstance(x, Traced):
        return x
    one = _one_row(np.asarray(x))
    size = like.graph.node("Shape", like.name, start=0, end=1)
    shape = like.graph.node("Concat", size, like.graph.constant(one.shape[1:], np.int64), axis=0)
    return like._new(np.asarray(x), "Expand", like.graph.constant(one), shape)


@_implements(np.concatenate)
def _concatenate(arrays: Sequence[Any], axis: int = 0) -> Traced:
    if len(arrays) == 1:
        return arrays[0]
    first = _first(arrays)
    axis = first._inner(axis)
    value = np.concatenate([_value(array) for array in arrays], axis=axis)
    parts = [with_rows(array, first).astype(value.dtype) for array in arrays if np.shape(array)[axis]]
    return first._new(value, "Concat", *(part.name for part in parts), axis=axis)


@_implements(np.hstack)
def _hstack(arrays: Sequence[Any]) -> Traced:
    return _concatenate(arrays, axis=1)


@_implements(np.stack)
def _stack(arrays: Sequence[Any], axis: int = 0) -> Traced:
    first = _first(arrays)
    return _concatenate([with_rows(array, first)._pick(None, axis)[0] for array in arrays], axis=axis)


@_implements(np.split)
def _split(array: Traced, places: Any, axis: int = 0) -> list[Traced]:
    if len(places):
        raise UntraceableError("rows are split")
    return [array]


@_implements(np.shape)
def _shape(array: Traced) -> tuple[int, ...]:
    return array.shape


@_implements(np.where)
def _where(condition: Any, yes: Any, no: Any) -> Traced:
    first = _first([condition, yes, no])
    value = np.where(_value(condition), _value(yes), _value(no))
    names = [
        first._named(x, dtype, value.ndim)
        for x, dtype in ((condition, bool), (yes, value.dtype), (no, value.dtype))
    ]
    return first._new(value, "Where", *names)


@_implements(np.sort)
def _sort(x: Traced, axis: int = -1) -> Traced:
    axis = x._inner(axis)
    every = x.graph.constant([x.shape[axis]], np.int64)
    names = x.graph.node("TopK", x.name, every, n_outputs=2, axis=axis, largest=0, sorted=1)
    return Traced(x.graph, np.sort(x.value, axis=axis), names[0])


@_implements(np.partition)
def _partition(x: Traced, kth: Any, axis: int = -1) -> Traced:
    return _sort(x, axis)


@_implements(np.einsum)
def _einsum(equation: str, *arrays: Any, optimize: Any = None) -> Traced:
    first, (terms, result) = _first(arrays), equation.replace(" ", "").split("->")
    for term, array in zip(terms.split(","), arrays, strict=True):
        if (result[0] == term[0]) != isinstance(array, Traced) or result[0] in term[1:]:
            raise UntraceableError(f"rows are summed in {equation!r}")
    value = np.einsum(equation, *(_value(array) for array in arrays), optimize=bool(optimize))
    names = [first._named(array, value.dtype, 0) for array in arrays]
    return first._new(value, "Einsum", *names, equation=f"{terms}->{result}")


@_implements(np.linalg.norm)
def _norm(x: Traced, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Traced:
    if ord is not None:
        raise UntraceableError("a norm other than Euclid's is taken")
    return np.sqrt((x * x).sum(axis=axis, keepdims=keepdims))


def _log1p(x: Any) -> Any:
    # ONNX has none, and log(1 + x) loses small x: W. Kahan's correction of it.
    above = 1 + x
    return np.where(above == 1.0, x, np.log(above) * (x / np.where(above == 1.0, 1.0, above - 1)))


def _logaddexp(one: Any, other: Any) -> Any:
    return np.maximum(one, other) + _log1p(np.exp(-np.abs(np.subtract(one, other))))


@logsumexp.register
def _(logits: Traced, axis: int, temperature: float = 1.0) -> Traced:
    terms: Any = scaled(logits, temperature)
    return terms._reduced("ReduceLogSumExp", lambda x, axis, **_: logsumexp(x, axis), axis, False)


@softmax.register
def _(x: Traced, axis: int) -> Traced:
    return x._new(softmax(x.value, axis=axis), "Softmax", x.name, axis=x._inner(axis))


@log_softmax.register
def _(x: Traced, axis: int) -> Traced:
    return x._new(log_softmax(x.value, axis=axis), "LogSoftmax", x.name, axis=x._inner(axis))
