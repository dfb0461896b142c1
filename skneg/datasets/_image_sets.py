"""Sets of images that protocols are made of: how they are called, where they lie, how many there are."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from ._cifar import is_archive, load_archive
from ._folders import is_entry, list_images, load_image_folder, load_image_list, read_lines

# What the paths in lists are relative to: the first below which the first image is found.
_LIST_ROOTS = (".", "images_largescale", "images_classic")


@dataclass(frozen=True)
class DataSet:
    """A set of images in the data folder.

    Attributes
    ----------
    title : str
        As tables call it.
    folders : list of str
        Where it may lie below the data folder; the first that exists counts.
    lists : list of str
        Text files of ``path label`` lines that take its place where one exists.
    origin : str
        Where it comes from.
    labelled : bool
        Whether its images lie in a folder per class.
    count : int or None
        How many images it has, where that is known.
    archives : list of str
        Folders that may hold it as CIFAR's own batches, or as Parquet files.
    """

    title: str
    folders: list[str]
    lists: list[str]
    origin: str
    labelled: bool = False
    count: int | None = None
    archives: Sequence[str] = ()

    def wanted(self) -> str:
        """What a user must put where, and where it comes from."""
        layout = "<class>/<image>" if self.labelled else "**/<image>"
        folders = [f"{folder}/{layout}" for folder in self.folders] + [f"{name}/" for name in self.archives]
        places = [*folders, f"a list {' or '.join(self.lists)}"]
        return f"{self.title}: {' or '.join(places)} (from {self.origin})"


HELD = tomllib.loads((files(__package__) / "protocols" / "protocols.toml").read_text(encoding="utf-8"))
SETS = {key: DataSet(**held) for key, held in HELD["sets"].items()}


def locate(root: Path, key: str) -> Path | None:
    """The list or the folder of a set; None where neither exists."""
    lists = (root / name for name in SETS[key].lists)
    folders = [root / name for name in SETS[key].folders]
    found = [p for p in lists if os.path.isfile(p)] or [p for p in folders if os.path.isdir(p)]
    return next(iter(found or [p for p in (root / a for a in SETS[key].archives) if is_archive(p)]), None)


def load_set(root: Path, key: str) -> tuple[Any, np.ndarray]:
    """Images and labels of a set that `locate` finds; labels are class folders, or what a list says."""
    place = locate(root, key)
    assert place is not None, "whoever calls has looked"
    if place.is_file():
        first = next((line.strip() for line in read_lines(place) if is_entry(line)), "")
        name = first.rpartition(" ")[0].strip()
        below = next((root / r for r in _LIST_ROOTS if name and os.path.isfile(root / r / name)), root)
        return load_image_list(place, below)
    if SETS[key].archives and is_archive(place):
        return load_archive(place, "train" if key.endswith("-train") else "test")
    if SETS[key].labelled:
        return load_image_folder(place)
    paths = list_images(place)
    return paths, np.full(len(paths), "")
