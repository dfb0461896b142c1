"""Values as JSON and tensors, and back: a fixed list of kinds, none of which can run code.

JSON's own kinds stand for themselves; every other is an object with its kind under ``"$"``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..adaptation import TANL, TINS, AdaNeg, CLIPScope, NearestUnknown
from ..bank import TextBank
from ..errors import PersistenceError
from ..evidence import CrossFitted, ImageEvidence, JointScore, NearestImages, PairedEvidence
from ..images import CaptionedImages
from ..prompts.recipe import CoOpRecipe, PromptRecipe
from ..words import Words

# Objects that parameters hold, by their constructor parameters.
_SETTINGS = {
    cls.__name__: cls
    for cls in (CoOpRecipe, PromptRecipe, Words, NearestUnknown, TANL, AdaNeg, CLIPScope, TINS)
}

# Parts of a fitted state, by their fields.
_PARTS: dict[str, Any] = {
    "bank": TextBank,
    "image_evidence": ImageEvidence,
    "paired_evidence": PairedEvidence,
    "nearest_images": NearestImages,
    "joint_score": JointScore,
    "cross_fitted": CrossFitted,
}

# Scalars of numpy: a Python number in the place of one rounds in another way.
_SCALARS: dict[str, Any] = {np.dtype(kind).name: np.dtype(kind).type for kind in "?bhilBHILefd"}
_SCALARS["str"] = np.str_

_LARGEST_INT = 2**4096  # Python refuses to write and read the digits of far larger ones
_DEEPEST = 100  # lists in lists

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
        # The objects stay alive with their numbers, so that an id means one object.
        self._nodes: dict[int, tuple[np.ndarray, dict[str, Any]]] = {}
        self._random_states: dict[int, tuple[np.random.RandomState, dict[str, Any]]] = {}
        self._depth = 0

    def write(self, value: Any, where: str) -> Any:
        """The node of a value; `where` names it in errors and tensors.

        Raises
        ------
        PersistenceError
            If it could not be read back as what it is.
        """
        self._depth += 1
        try:
            if self._depth > _DEEPEST:
                raise PersistenceError(f"{where:.200} lies {_DEEPEST} levels deep, or holds itself.")
            return self._write(value, where)
        finally:
            self._depth -= 1

    def _write(self, value: Any, where: str) -> Any:
        # Of these types only: a subclass would come back without what it adds, such as order or a mask.
        kind = type(value)
        if value is None or kind in (bool, float, str):
            return value
        if kind is int and abs(value) < _LARGEST_INT:
            return value
        if kind in _SCALARS.values():
            name = next(name for name, cls in _SCALARS.items() if cls is kind)
            return {"$": "scalar", "type": name, "value": value.item()}
        if kind is list:
            return self._write_all(value, where)
        if kind is tuple:
            return {"$": "tuple", "items": self._write_all(value, where)}
        if kind is dict:
            return {"$": "map", "items": self._write_pairs(value, where)}
        if kind in (np.ndarray, np.memmap):
            return self._write_array(value, where)
        if kind in _PARTS.values():
            name = next(name for name, cls in _PARTS.items() if cls is kind)
            return {"$": name, "fields": self._write_pairs(vars(value), where)}
        if kind is CaptionedImages:
            return {"$": "captioned", "fields": self._write_pairs(value.as_plain_values(), where)}
        if kind in _SETTINGS.values():
            parameters = self._write_pairs(value.get_params(deep=False), where)
            return {"$": "settings", "class": kind.__name__, "fields": parameters}
        if isinstance(value, Path):
            return {"$": "path", "path": str(value)}
        if kind is np.random.RandomState:
            return self._write_random_state(value, where)
        if hasattr(kind, "_stored_state"):
            return {"$": "detector", **self._write_detector(value, where)}
        what = f"an int of {value.bit_length()} bits" if kind is int else f"a {kind.__name__}"
        raise PersistenceError(
            f"{where} is {what}, which a file cannot hold as it is. Numbers, strings, lists, tuples, dicts, "
            f"numpy arrays, pathlib's paths, TextBank and RandomState can be saved{_way_out(value)}."
        )

    def write_halved(self, value: np.ndarray, where: str) -> dict[str, Any]:
        """The node of a float array that is stored as float16 and read in its own type."""
        node = self._write_array(value.astype(np.float16), where)
        return {**node, "dtype": str(value.dtype)}

    def _write_all(self, values: Any, where: str) -> list[Any]:
        return [self.write(value, f"{where}[{i}]") for i, value in enumerate(values)]

    def _write_pairs(self, values: dict[Any, Any], where: str) -> list[list[Any]]:
        return [[self.write(k, where), self.write(v, f"{where}[{k!r}]")] for k, v in values.items()]

    def _write_random_state(self, value: np.random.RandomState, where: str) -> dict[str, Any]:
        if value is np.random.mtrand._rand:
            raise PersistenceError(
                f"{where} is numpy's global RandomState, which no file can hold: set it to None or a seed."
            )
        state = value.get_state(legacy=False)
        if state["bit_generator"] != "MT19937":
            raise PersistenceError(
                f"{where} is a RandomState of {state['bit_generator']}, and a file can hold one of MT19937: "
                "take RandomState(seed)."
            )
        if id(value) not in self._random_states:
            node = {"$": "random_state", "number": len(self._random_states)}
            node["state"] = self.write(state, where)
            self._random_states[id(value)] = value, node
        # Who shares one draws from one stream, after loading too.
        return self._random_states[id(value)][1]

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
        given = array
        if id(given) not in self._nodes:
            # The order in memory decides which kernel multiplies, and so the last bits of scores.
            transposed = array.ndim > 1 and array.flags.f_contiguous and not array.flags.c_contiguous
            if not array.dtype.isnative:  # the same numbers in another order of bytes
                array = array.astype(array.dtype.newbyteorder("="))
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
            self._nodes[id(given)] = given, node
        return self._nodes[id(given)][1]


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
        self._random_states: dict[int, np.random.RandomState] = {}
        self.used: set[str] = set()

    def read(self, node: Any) -> Any:
        """The value of a node."""
        if isinstance(node, list):
            return [self.read(item) for item in node]
        if not isinstance(node, dict):
            return node
        kind = node.get("$")
        if kind == "scalar" and node["type"] in _SCALARS:
            return _SCALARS[node["type"]](node["value"])
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
            return self._read_random_state(node)
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

    def _read_random_state(self, node: dict[str, Any]) -> np.random.RandomState:
        state = self._random_states.setdefault(node["number"], np.random.RandomState())
        state.set_state(self.read(node["state"]))
        return state

    def _read_strings(self, node: dict[str, Any]) -> np.ndarray:
        items, width = self.read(node["items"]), node["width"]
        if width is not None and not 0 <= width * max(len(items), 1) <= _MOST_CHARACTERS:
            raise PersistenceError(f"the file holds {len(items)} strings of a width of {width} characters.")
        array = np.empty(len(items), dtype=object if width is None else f"<U{max(width, 1)}")
        for i, item in enumerate(items):  # lists among them stay lists
            array[i] = item
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


def _way_out(value: Any) -> str:
    """What to write in the place of a value that is near to one that can be saved."""
    for kind, way in (
        (np.ma.MaskedArray, "x.filled(...)"),
        (np.ndarray, "np.asarray(x)"),
        (np.random.Generator, "a seed, or RandomState(seed)"),
        (Mapping, "dict(x)"),
        (set | frozenset, "sorted(x)"),
        (list | tuple, "list(x)"),
    ):
        if isinstance(value, kind):
            return f"; here {way}"
    return ""


def _is_half(array: np.ndarray) -> bool:
    """Whether float16 holds every value of a float32 array exactly."""
    with np.errstate(over="ignore"):
        return array.size > 0 and bool(np.array_equal(array.astype(np.float16).astype(np.float32), array))
