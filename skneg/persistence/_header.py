"""What a file says of itself; read without scikit-learn, so that a command line can be quick."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from .._files import as_path, read_sealed, unpack
from ..errors import PersistenceError

FORMAT = 2


def read_header(path: str | os.PathLike) -> dict[str, Any]:
    """What a file says of itself, without loading the detector or its backbone.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    dict
        ``"format"``; ``"versions"`` of the libraries that wrote it; ``"detector"`` with ``"class"``,
        ``"parameters"``, ``"attributes"`` (arrays are references to the file's tensors) and
        ``"backbone"`` with its name and sha256.

    Raises
    ------
    PersistenceError
        If the file is damaged, of a later format or not of skneg.
    InputTypeError
        If `path` is not a path.
    """
    return read_file(as_path(path))[0]


def read_file(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays of a file of a format that can be read."""
    header, tensors = unpack(read_sealed(path), str(path))
    found = header.get("format")
    if type(found) is not int or found < 1:
        raise PersistenceError(f"{path} has no format version ({found!r}).")
    if found < FORMAT:
        raise PersistenceError(
            f"{path} has format {found}, of a version before the first release; this skneg reads format "
            f"{FORMAT}. Fit the detector again, and save it anew."
        )
    if found > FORMAT:
        versions = header.get("versions")
        wrote = versions.get("skneg") if isinstance(versions, dict) else None
        raise PersistenceError(
            f"{path} has format {found}; this skneg reads formats up to {FORMAT}. It was written by skneg "
            f"{wrote}: upgrade to that version or a later one."
        )
    return header, tensors
