"""Values as JSON and tensors, and back: a fixed list of kinds, none of which can run code.

JSON's own kinds stand for themselves; every other is an object with its kind under ``"$"``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..bank import TextBank
from ..errors import PersistenceError
from ..evidence import CrossFitted, ImageEvidence, JointScore
from ..images import CaptionedImages
from ..prompts.recipe import CoOpRecipe, PromptRecipe
from ..words import Words

# Objects that parameters hold, by their constructor parameters.
_SETTINGS = {cls.__name__: cls for cls in (CoOpRecipe, PromptRecipe, Words)}

# Parts of a fitted state, by their fields.
_PARTS: dict[str, Any] = {
    "bank": TextBank,
    "image_evidence": ImageEvidence,
    "joint_score": JointScore,
    "cross_fitted": CrossFitted,
}

# Characters of an array of strings, each as wide as the widest, in 4 bytes: a few wide ones among many
# must not fill the memory.
_MOST_CHARACTERS = 2**26


class ValueWriter:
    """Turns values into JSON nodes, and collects the arrays among them as tensors.

    Parameters
    ----------
    write_detector : callable
        From a detector and where it stands to its node; detectors hold detectors.
    """

    def __init__(self, write_detector: Callable[[Any, str], dict[str, Any]]) -> None:
        self.tensors: dict[str, np.ndarray] = {}
        self._write_detector = write_detector
        # The arrays stay alive with their numbers, so that an id means one array.
        self._nodes: dict[int, tuple[np.ndarray, dict[str, Any]]] = {}

    def write(self, value: Any, where: str) -> Any:
        """The node of a value; `where` names it in errors and tensors."""
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, list):
            return self._write_all(value, where)
        if isinstance(value, tuple) and not hasattr(value, "_fields"):
            return {"$": "tuple", "items": self._write_all(value, where)}
        if isinstance(value, dict):
            return {"$": "map", "items": self._write_pairs(value, where)}
        if isinstance(value, np.ndarray):
            return self._write_array(value, where)
        if type(value) in _PARTS.values():
            kind = next(kind for kind, cls in _PARTS.items() if cls is type(value))
            return {"$": kind, "fields": self._write_pairs(vars(value), where)}
        if type(value) is CaptionedImages:
            return {"$": "captioned", "fields": self._write_pairs(value.as_plain_values(), where)}
        if type(value) in _SETTINGS.values():
            parameters = self._write_pairs(value.get_params(deep=False), where)
            return {"$": "settings", "class": type(value).__name__, "fields": parameters}
        if isinstance(value, os.PathLike):
            return {"$": "path", "path": os.fspath(value)}
        if isinstance(value, np.random.RandomState):
            return {"$": "random_state", "state": self.write(value.get_state(legacy=False), where)}
        if hasattr(value, "_stored_state"):
            return {"$": "detector", **self._write_detector(value, where)}
        raise PersistenceError(
            f"{where} is a {type(value).__name__}, which a file cannot hold. Numbers, strings, lists, dicts, "
            "numpy arrays, TextBank and paths can be saved."
        )

    def write_halved(self, value: np.ndarray, where: str) -> dict[str, Any]:
        """The node of a float array that is stored as float16 and read in its own type."""
        node = self._write_array(value.astype(np.float16), where)
        return {**node, "dtype": str(value.dtype)}

    def _write_all(self, values: Any, where: str) -> list[Any]:
        return [self.write(value, f"{where}[{i}]") for i, value in enumerate(values)]

    def _write_pairs(self, values: dict[Any, Any], where: str) -> list[list[Any]]:
        return [[self.write(k, where), self.write(v, f"{where}[{k!r}]")] for k, v in values.items()]

    def _write_array(self, array: np.ndarray, where: str) -> dict[str, Any]:
        if array.dtype.kind == "U" and array.nbytes > 4 * _MOST_CHARACTERS:
            raise PersistenceError(
                f"{where} takes {array.nbytes} bytes as strings of one width: make it an array of objects, "
                ".astype(object)."
            )
        if array.dtype.kind in "UO":
            items = self._write_all(array.ravel().tolist(), where)
            width = array.dtype.itemsize // 4 if array.dtype.kind == "U" else None
            return {"$": "strings", "shape": list(array.shape), "width": width, "items": items}
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise PersistenceError(f"{where} is an array of {array.dtype}, which a file cannot hold.")
        if id(array) not in self._nodes:
            # The order in memory decides which kernel multiplies, and so the last bits of scores.
            transposed = array.ndim > 1 and array.flags.f_contiguous and not array.flags.c_contiguous
            name = where
            while name in self.tensors:
                name += "+"
            self.tensors[name] = np.ascontiguousarray(array.T if transposed else array)
            if array.ndim == 0:
                self.tensors[name] = self.tensors[name].reshape(())
            node = {"$": "array", "tensor": name, "transposed": transposed}
            if array.dtype == np.float32 and _is_half(self.tensors[name]):
                # Word embeddings are rounded when they are made, so half the bytes hold them exactly.
                self.tensors[name] = self.tensors[name].astype(np.float16)
                node["dtype"] = "float32"
            self._nodes[id(array)] = array, node
        return self._nodes[id(array)][1]


class ValueReader:
    """Turns the nodes of a `ValueWriter` back into values.

    Parameters
    ----------
    tensors : dict of str to ndarray
    read_detector : callable
        From a detector's node to the detector.

    Attributes
    ----------
    used : set of str
        The tensors that were asked for.
    """

    def __init__(
        self, tensors: dict[str, np.ndarray], read_detector: Callable[[dict[str, Any]], Any]
    ) -> None:
        self._tensors = tensors
        self._read_detector = read_detector
        self._arrays: dict[str, np.ndarray] = {}
        self.used: set[str] = set()

    def read(self, node: Any) -> Any:
        """The value of a node."""
        if isinstance(node, list):
            return [self.read(item) for item in node]
        if not isinstance(node, dict):
            return node
        kind = node.get("$")
        if kind == "tuple":
            return tuple(self.read(node["items"]))
        if kind == "map":
            return self._read_pairs(node["items"])
        if kind == "array":
            return self._read_array(node)
        if kind == "strings":
            return self._read_strings(node)
        if kind in _PARTS:
            return _PARTS[kind](**self._read_pairs(node["fields"]))
        if kind == "captioned":
            return CaptionedImages.from_plain_values(**self._read_pairs(node["fields"]))
        if kind == "settings":
            return _SETTINGS[node["class"]](**self._read_pairs(node["fields"]))
        if kind == "path":
            return Path(node["path"])
        if kind == "random_state":
            state = np.random.RandomState()
            state.set_state(self.read(node["state"]))
            return state
        if kind == "detector":
            return self._read_detector(node)
        raise PersistenceError(f"the file holds a value of the unknown kind {kind!r}.")

    def _read_pairs(self, pairs: list[list[Any]]) -> dict[Any, Any]:
        return {self.read(key): self.read(value) for key, value in pairs}

    def _read_array(self, node: dict[str, Any]) -> np.ndarray:
        name = node["tensor"]
        self.used.add(name)
        if name not in self._arrays:
            array = self._tensors[name]
            if node.get("dtype") in ("float32", "float64"):
                array = array.astype(node["dtype"])
            self._arrays[name] = array.T if node["transposed"] else array
        return self._arrays[name]

    def _read_strings(self, node: dict[str, Any]) -> np.ndarray:
        items, width = self.read(node["items"]), node["width"]
        if width is not None and not 0 <= width * max(len(items), 1) <= _MOST_CHARACTERS:
            raise PersistenceError(f"the file holds {len(items)} strings of a width of {width} characters.")
        array = np.empty(len(items), dtype=object if width is None else f"<U{max(width, 1)}")
        array[:] = items
        return array.reshape(node["shape"])


def check_finite(value: Any, where: str = "it") -> None:
    """Refuse NaN and infinity anywhere in what a file holds of a fitted detector."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and not np.isfinite(value).all():
        raise PersistenceError(f"{where} holds values that are not finite.")
    if isinstance(value, float) and not np.isfinite(value):
        raise PersistenceError(f"{where} is {value}, expected a finite number.")
    if isinstance(value, (*_PARTS.values(), CaptionedImages)):
        value = vars(value)
    if isinstance(value, dict):
        for key, item in value.items():
            check_finite(item, f"its {key}")
    elif isinstance(value, list | tuple):
        for item in value:
            check_finite(item, where)


def _is_half(array: np.ndarray) -> bool:
    """Whether float16 holds every value of a float32 array exactly."""
    with np.errstate(over="ignore"):
        return array.size > 0 and bool(np.array_equal(array.astype(np.float16).astype(np.float32), array))
