"""An ONNX graph that grows node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np

from .._utils import require

OPSET = 18
_IR_VERSION = 10  # of the oldest onnxruntime that is of use
_LARGE = 1000  # values
ROWS = "n"  # what the dimension of the rows is called


def onnx_package(name: str = "onnx") -> Any:
    """The optional package, or an error that says how to get it."""
    return require(name, "skneg.export.onnx", "pip install 'skneg[onnx]'")


class Graph:
    """Nodes and constants, each constant once.

    Parameters
    ----------
    prefix : str
        What the names of its values start with.
    """

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._names: dict[tuple[Any, ...], str] = {}

    def constant(self, value: Any, dtype: Any = None) -> str:
        """The name of a constant; a large one of float64 that float32 holds exactly is kept so."""
        array = np.asarray(value, dtype=dtype)
        key = (array.dtype.str, array.shape, sha256(array.tobytes()).digest())
        if key not in self._names:
            with np.errstate(over="ignore"):
                halved = array.astype(np.float32) if array.dtype == np.float64 else array
            if array.size > _LARGE and halved.dtype != array.dtype and np.array_equal(halved, array):
                self._names[key] = self.node("Cast", self.constant(halved), to=self.kind(np.float64))
            else:
                name = self._names[key] = f"{self._prefix}constant_{len(self._constants)}"
                self._constants.append(onnx_package("onnx.numpy_helper").from_array(array, name))
        return self._names[key]

    def kind(self, dtype: Any) -> int:
        """What ONNX calls a type of numpy."""
        return onnx_package("onnx.helper").np_dtype_to_tensor_dtype(np.dtype(dtype))

    def node(
        self, op: str, *inputs: str, output: str | None = None, n_outputs: int = 1, **attributes: Any
    ) -> Any:
        """The name of what a new node computes, or names, where there are several."""
        given = self._prefix + f"{op}_{len(self._nodes)}"
        names = [output or given] if n_outputs == 1 else [f"{given}_{i}" for i in range(n_outputs)]
        helper = onnx_package("onnx.helper")
        self._nodes.append(helper.make_node(op, list(inputs), names, name=given, **attributes))
        return names[0] if n_outputs == 1 else names

    def model(
        self, inputs: Mapping[str, tuple[Any, Sequence[int]]], outputs: Mapping[str, np.ndarray]
    ) -> Any:
        """The model, without what no output needs; values as of an example, rows in the first dimension."""
        helper = onnx_package("onnx.helper")
        needed, kept = set(outputs), []
        for node in reversed(self._nodes):
            if needed & set(node.output):
                needed |= set(node.input)
                kept.append(node)

        def described(name: str, dtype: Any, shape: Sequence[int]) -> Any:
            return helper.make_tensor_value_info(name, self.kind(dtype), [ROWS, *shape])

        graph = helper.make_graph(
            kept[::-1],
            "skneg",
            [described(name, *what) for name, what in inputs.items()],
            [described(name, value.dtype, value.shape[1:]) for name, value in outputs.items()],
            [constant for constant in self._constants if constant.name in needed],
        )
        opset = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION)
