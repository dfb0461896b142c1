"""Whether what loading makes again will be what the detector in memory has."""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

import numpy as np

from ..errors import PersistenceError
from ._values import ValueWriter

_UNKNOWN = "unknown"


def digests_of_parameters(detector: Any) -> dict[str, str]:
    """A short hash of each parameter's value, as a file would hold it."""
    parameters = detector.get_params(deep=False)
    # Files hold no functions: loading asks for them again, so nothing is made from them.
    return {name: _digest(value) for name, value in parameters.items() if not callable(value)}


def check_remade(detector: Any) -> None:
    """Refuse a detector that would come back from a file with another text bank.

    Parameters that are as they were when the bank was made settle it without any work. Where some have
    changed, which often matters nothing, what loading would make is made and compared.

    Raises
    ------
    PersistenceError
        Names the parameters that have changed.
    """
    before, now = getattr(detector, "_made_from", {}), digests_of_parameters(detector)
    changed = [name for name, digest in now.items() if digest == _UNKNOWN or before.get(name) != digest]
    if not changed:
        return
    twin = copy.copy(detector)
    try:
        twin._remake()
        alike = all(_alike(getattr(detector, name), getattr(twin, name)) for name in detector._remade)
    except MemoryError:
        raise
    except Exception as error:  # parameters that do not fit what was learned can break any line
        raise PersistenceError(f"{_advice(changed)} Now it fails: {error}") from error
    if not alike:
        raise PersistenceError(_advice(changed))


def _advice(changed: list[str]) -> str:
    return (
        f"{', '.join(changed)} changed since fit or set_vocabulary, and loading would make another text bank "
        "from the file than the detector has. Set the old values again, call fit, or "
        "set_vocabulary with the same names, which makes the bank anew."
    )


def _digest(value: Any) -> str:
    writer = ValueWriter(_refuse)
    try:
        node = json.dumps(writer.write(value, ""))
    except PersistenceError:
        return _UNKNOWN  # `save` refuses it with its name
    sha = hashlib.sha256(node.encode())
    for tensor in writer.tensors.values():
        sha.update(f"{tensor.dtype} {tensor.shape}".encode() + tensor.tobytes())
    return sha.hexdigest()[:16]


def _refuse(detector: Any, where: str) -> dict[str, Any]:
    raise PersistenceError("no detector has a detector as parameter.")


def _alike(one: Any, other: Any) -> bool:
    """Whether two values made in the same way hold the same numbers."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_alike(value, other[key]) for key, value in one.items())
    if hasattr(one, "__dict__") and not callable(one):
        return _alike(vars(one), vars(other))
    return bool(one == other)
