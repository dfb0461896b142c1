"""Detectors to files and back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._files import as_path, pack, write_bytes
from .._registry import DETECTORS, HOLDERS, detector_class
from ..errors import InputError, PersistenceError, SknegError
from ._header import FORMAT, read_file
from ._models import describe_models, settle_device
from ._values import ValueReader, ValueWriter, check_finite

_DISTRIBUTIONS = ("numpy", "scikit-learn", "safetensors", "torch", "open_clip_torch")

# Parameters that say where and how to compute, not what was learned.
_REPLACEABLE = (
    "model",
    "pretrained",
    "device",
    "precision",
    "batch_size",
    "verbose",
    "no_encoder",
    "candidate_labels",
)

# Those of them that may be functions, which no file holds.
_FUNCTIONS = ("candidate_labels",)

# Bytes of calibration embeddings that are still stored exactly: only `set_vocabulary` and `calibrate`
# read them, the scores and the threshold are stored beside them.
_HALVED_FROM = 2**21


def save(detector: Any, path: str | os.PathLike) -> None:
    """Write a fitted detector to one file, without its model and without pickle.

    The file holds the text bank, the scores of the calibration images and the threshold: everything that
    a score of embeddings needs. It is written in whole or not at all: where that fails, what the file
    held before stays.

    Parameters
    ----------
    detector : detector
    path : str or path
        By convention ends in ``.skneg``.

    Raises
    ------
    PersistenceError
        If the file cannot be written, or a parameter is something that a file cannot hold.
    InputError
        If a parameter changed since `fit` has a value that is not usable.
    InputTypeError
        If `path` is not a path.
    NotFittedError
        If the detector is not fitted.
    """
    check_is_fitted(detector)
    path = as_path(path)  # before anything that takes long
    writer = ValueWriter(lambda member, where: _describe(member, writer, f"{where}.", exact=True))
    header = {
        "format": FORMAT,
        "versions": _versions(),
        "detector": _describe(detector, writer, "", exact=False),
    }
    write_bytes(path, pack(header, writer.tensors))


def load(path: str | os.PathLike, **parameters: Any) -> Any:
    """Load a detector that was saved with its `save` method.

    The file is never trusted: its checksum is compared first, it holds numbers and texts only, and the
    class it names must be one of skneg's detectors. No model is loaded, and torch is not imported: images
    and `set_vocabulary` load the model when they first need it, and it must then have the recorded
    weights.

    Parameters
    ----------
    path : str or path
    **parameters
        Constructor parameters to replace: those that say where and how to compute (`model`, `pretrained`,
        `device`, `precision`, `batch_size`, `verbose`, `no_encoder`), for weights that have moved or a
        machine of another kind; and `candidate_labels` of `ZOCDetector`, a function, which no file
        holds. Members of an ensemble get them too, as far as they have them. `model` alone resets
        `pretrained`.

    Returns
    -------
    detector
        Of the class that was saved, fitted.

    Raises
    ------
    PersistenceError
        If the file is damaged, of a later format, not of skneg, or needs something that is gone.
    InputError
        If a parameter cannot be replaced.
    InputTypeError
        If `path` is not a path.

    Warns
    -----
    SknegWarning
        If the recorded device is not on this machine; ``device="auto"`` is taken.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import skneg
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(40, shapes=["star", "heart"], random_state=0)
    >>> detector = skneg.MCMDetector(model="skneg-tiny").fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     detector.save(Path(folder) / "shapes.skneg")
    ...     again = skneg.load(Path(folder) / "shapes.skneg", device="cpu")
    >>> bool((again.score_samples(X) == detector.score_samples(X)).all())
    True
    """
    return load_as(None, path, parameters)


def load_as(expected: type | None, path: str | os.PathLike, parameters: Mapping[str, Any]) -> Any:
    """Load a detector of one class, or of any."""
    for name in parameters:
        if name not in _REPLACEABLE:
            raise InputError(f"load cannot replace {name!r}, only {', '.join(_REPLACEABLE)}.")
    path = as_path(path)
    header, tensors = read_file(path)
    replaced: set[str] = set()
    reader = ValueReader(tensors, lambda node: _restore(node, reader, parameters, replaced))
    try:
        record = header["detector"]
        if expected is not None:
            _check_class(_class_named(record["class"]), expected)
        detector = _restore(record, reader, parameters, replaced)
        check_is_fitted(detector)
        if unused := sorted(set(tensors) - reader.used):
            raise PersistenceError(f"it has a tensor {unused[0]!r} that nothing refers to.")
    except PersistenceError as error:
        raise PersistenceError(f"{path}: {error}") from error
    except (SknegError, MemoryError):
        raise
    except Exception as error:  # a forged file can break any line; that it is forged is one fact
        raise PersistenceError(
            f"{path}: its contents are not a detector ({type(error).__name__}: {error})."
        ) from error
    if unknown := sorted(set(parameters) - replaced):
        raise InputError(f"{path} has no detector with a parameter {unknown[0]!r} to replace.")
    return detector


def _describe(detector: Any, writer: ValueWriter, where: str, exact: bool) -> dict[str, Any]:
    name = type(detector).__name__
    if name not in _class_names() or _class_named(name) is not type(detector):
        raise PersistenceError(
            f"{name} is not a detector of skneg, and a file holds only those; use joblib for it."
        )
    parameters = {}
    for key, value in detector.get_params(deep=False).items():
        if key in _FUNCTIONS and callable(value):
            parameters[key] = {"$": "function", "name": getattr(value, "__qualname__", repr(value))}
        else:
            parameters[key] = writer.write(value, f"{where}{key}")
    values, fitted_with = detector._stored_state()
    for key in vars(detector):  # but those of scikit-learn's own, such as metadata requests
        if key not in parameters and not key.startswith("_") and key not in (values or {}):
            raise PersistenceError(
                f"the detector has an attribute {key!r}, which {name} does not learn; a file cannot hold it: "
                "delete it."
            )
    attributes = {}
    for key, value in (values or {}).items():
        halve = not exact and key == "calibration_embeddings_" and isinstance(value, np.ndarray)
        write = writer.write_halved if halve and value.nbytes > _HALVED_FROM else writer.write
        attributes[key] = write(value, f"{where}{key}")
    detector._check_parameters()  # as `load` will
    return {
        "class": name,
        "parameters": parameters,
        "attributes": attributes,
        "backbone": describe_models(detector, fitted_with) if values else None,
    }


def _restore(
    record: dict[str, Any], reader: ValueReader, replacements: Mapping[str, Any], replaced: set[str]
) -> Any:
    cls, nodes, learned = _class_named(record["class"]), record["parameters"], record["attributes"]
    if not isinstance(nodes, dict) or not isinstance(learned, dict):
        raise PersistenceError("its parameters or attributes are no table of names and values.")
    expected = cls._get_param_names()
    if unknown := sorted(set(nodes) - set(expected)):
        raise PersistenceError(f"{cls.__name__} has no parameter {unknown[0]!r}.")
    mine = {name: value for name, value in replacements.items() if name in expected}
    replaced.update(mine)
    if "model" in mine:
        mine.setdefault("pretrained", None)
    for name, node in nodes.items():
        if isinstance(node, dict) and node.get("$") == "function" and name not in mine:
            raise PersistenceError(
                f"{name} was a function ({node['name']}), which no file holds: skneg.load(path, {name}=...)."
            )
    kept = {name: reader.read(node) for name, node in nodes.items() if name not in mine}
    detector = cls(**kept, **mine)
    if "device" in expected:
        settle_device(detector, was_asked_for="device" in mine)
    attributes = {name: reader.read(node) for name, node in learned.items()}
    if attributes:
        check_finite(attributes)
        detector._restore_state(attributes, record["backbone"])
    elif cls.__name__ in HOLDERS:
        check_is_fitted(detector)
        detector._check_parameters()
    return detector


def _class_names() -> set[str]:
    return {*DETECTORS, *HOLDERS}


def _class_named(name: Any) -> Any:
    """A detector of skneg by its name; nothing else is ever imported for a file."""
    if not isinstance(name, str) or name not in _class_names():
        raise PersistenceError(f"it names the class {name!r}, which is not a detector of skneg.")
    return detector_class(name)


def _check_class(found: type, expected: type) -> None:
    # A detector may derive from another one, and still be something else to whoever asks for that.
    is_abstract = expected.__name__ not in _class_names()
    if found is not expected and not (is_abstract and issubclass(found, expected)):
        raise PersistenceError(
            f"it holds a {found.__name__}, not a {expected.__name__}; skneg.load takes any detector."
        )


def _versions() -> dict[str, str | None]:
    from .. import __version__

    versions: dict[str, str | None] = {"skneg": __version__, "python": python_version()}
    for name in _DISTRIBUTIONS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return versions
