"""The images of a command line: lists of paths, labels beside them, and what cannot be read."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from .._files import read_regular, with_home
from ..datasets import list_images, load_image_folder
from ..errors import InputError
from ..images import unreadable

_LONGEST_PATH = 2**16  # characters; systems take 4,096 or 32,767


def unlabelled(source: str, on_error: str) -> list[Path]:
    """Paths of any folder of images, or of one image."""
    paths = list(expanded([source]))
    return [paths[row] for row in _kept(paths, on_error)]


def labelled(source: str, on_error: str) -> tuple[list[Path], np.ndarray, np.ndarray | None]:
    """Paths, labels and groups of a folder of class folders, or of a table."""
    paths, labels, groups = (
        _table(Path(source)) if os.path.isfile(source) else (*load_image_folder(source), None)
    )
    kept = _kept(paths, on_error)
    return [paths[row] for row in kept], labels[kept], None if groups is None else groups[kept]


def _table(file: Path) -> tuple[list[Path], np.ndarray, np.ndarray | None]:
    try:
        rows = csv.DictReader(io.StringIO(read_regular(file).decode("utf-8-sig"), newline=""))
        columns = list(rows.fieldnames or [])
        listed = list(rows)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file} is no CSV table in UTF-8: {error}") from error
    for name in ("path", "label"):
        if name not in columns:
            raise InputError(f"{file} has the columns {columns}; it needs path and label.")
    if not listed:
        raise InputError(f"{file} has no row.")
    for number, row in enumerate(listed, 1):
        for name in columns:
            if not row[name]:
                raise InputError(f"{file} has nothing for {name} in row {number} below its header.")
    groups = np.array([row["group"] for row in listed]) if "group" in columns else None
    # A path is told from the place of the table, as in a web page.
    paths = [file.parent / with_home(row["path"]) for row in listed]
    return paths, np.array([row["label"] for row in listed], dtype=object), groups


def expanded(items: Iterable[str]) -> Iterator[Path]:
    """The files that arguments name: themselves, those below folders, those on standard input."""
    for item in items:
        if item == "-":
            yield from (Path(line) for line in _lines_of_input() if line.strip())
        elif os.path.isdir(item):
            yield from list_images(item)
        else:
            yield Path(item)


def _lines_of_input() -> Iterator[str]:
    """Lines of standard input, without the whole of it in memory, even where it has no ends of lines."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # file names may be any bytes
    while line := sys.stdin.readline(_LONGEST_PATH):
        if len(line) == _LONGEST_PATH and not line.endswith("\n"):
            raise InputError(f"standard input has a line of {_LONGEST_PATH} characters or more: no path.")
        yield line.rstrip("\r\n")


def _kept(paths: list[Path], on_error: str) -> np.ndarray:
    """Rows of the paths that are gone on with; what is skipped is named."""
    errors = unreadable(paths) if on_error == "skip" else []
    for error in errors:
        print(f"skneg: skipped: {error}", file=sys.stderr)
    return np.setdiff1d(np.arange(len(paths)), [error.index for error in errors]).astype(int)
