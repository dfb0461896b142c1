"""What `get_protocol` returns: sets of images that are read when they are used, and what they are for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ._image_classes import load_class_names

GROUPS = ("near", "far", "covariate")
UNKNOWN = -1  # the label of what is in no class


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A set of images of a protocol, which is read when first used; made by `get_protocol`.

    Attributes
    ----------
    name : str
        As skneg calls it, such as ``"ssb-hard"``.
    title : str
        As papers call it.
    group : {"train", "test", "near", "far", "covariate"}
        What it is for.
    place : Path or None
        The list or folder it is read from; None where there is none.
    expected : int or None
        How many images it should have, where that is known.
    images : list of Path, list of bytes, or ndarray of shape (n, 32, 32, 3)
        The images; pixels or encoded images of CIFAR's archives.
    keys : ndarray of shape (n,), str
        The class folder of each image; empty texts where it is in no known class.
    labels : ndarray of shape (n,), int
        Positions in the protocol's `class_names`; -1 for images in no known class.
    problem : str or None
        Why it cannot be used, or what is strange about it; None where it is as it should be.
    """

    name: str
    title: str
    group: str
    place: Path | None
    expected: int | None
    wanted: str
    _read: Callable[[], tuple[Any, np.ndarray]] = field(repr=False)
    _order: Callable[[], list[str]] = field(repr=False)

    @cached_property
    def _held(self) -> tuple[Any, np.ndarray]:
        if self.place is None:
            raise InputError(f"the set {self.name!r} is not there: {self.wanted}")
        return self._read()

    @property
    def images(self) -> Any:
        return self._held[0]

    @property
    def keys(self) -> np.ndarray:
        return self._held[1]

    @property
    def is_known(self) -> bool:
        """Whether its images are of known classes."""
        return self.group in ("train", "test", "covariate")

    @cached_property
    def labels(self) -> np.ndarray:
        if not self.is_known:
            return np.full(len(self.keys), UNKNOWN)
        number = {key: i for i, key in enumerate(self._order())}
        return np.array([number[key] for key in self.keys.tolist()], dtype=int)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def problem(self) -> str | None:
        if self.place is None:
            return f"missing: {self.wanted}"
        try:
            found = len(self)
        except InputError as error:
            return str(error)
        if self.expected is None or found == self.expected:
            return None
        return f"{found:,} of {self.expected:,} images in {str(self.place)!r}: {self.wanted}"


@dataclass(frozen=True, eq=False)
class ImageProtocol:
    """Which images are known and which are not; made by `get_protocol`.

    ``print(protocol)`` reads all sets and shows how many images each has, of how many, and what is missing.

    Attributes
    ----------
    name, title : str
    root : Path
        The data folder.
    train, test : ImageSet
        Images of the known classes.
    near, far, covariate : dict of str to ImageSet
        Unknown images like the known ones, and unlike them; known classes under other conditions, which
        full-spectrum OOD detection counts as known.
    ood : dict of str to ImageSet
        Those of `near` and `far`.
    classes : list of str
        The class folders, in the order of the labels.
    all_classes : list of str
        Those, and the unknown classes of a hard split.
    class_names : list of str
        What a text tower reads for the known classes.
    missing : list of str
        Names of the sets, and of the file that a hard split needs, that are not there.
    """

    name: str
    title: str
    root: Path
    train: ImageSet
    test: ImageSet
    near: Mapping[str, ImageSet]
    far: Mapping[str, ImageSet]
    covariate: Mapping[str, ImageSet]
    _needed: Sequence[str]
    _known: Callable[[], list[str]]
    _order: Callable[[], list[str]]

    @property
    def ood(self) -> dict[str, ImageSet]:
        return {**self.near, **self.far}

    @property
    def sets(self) -> list[ImageSet]:
        """All of them: the training images first, then the test images."""
        others = (getattr(self, group).values() for group in GROUPS)
        return [self.train, self.test, *(one for group in others for one in group)]

    @property
    def classes(self) -> list[str]:
        return self._known()

    @property
    def all_classes(self) -> list[str]:
        return self._order()

    @cached_property
    def class_names(self) -> list[str]:
        return load_class_names(self.root, self.classes)

    @property
    def missing(self) -> list[str]:
        return [*dict.fromkeys(one.name for one in self.sets if one.place is None), *self._needed]

    def __repr__(self) -> str:
        there = sum(one.place is not None for one in self.sets)
        return f"<ImageProtocol {self.name!r}: {there} of {len(self.sets)} sets are in {str(self.root)!r}>"

    def __str__(self) -> str:
        rows = [("set", "group", "images", "expected")]
        notes = []
        for one in self.sets:
            problem = one.problem
            try:
                found = f"{len(one):,}"
            except InputError:
                found = "-"
            rows.append((one.name, one.group, found, "?" if one.expected is None else f"{one.expected:,}"))
            notes += [f"{one.name}: {problem}"] if problem else []
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]:>{widths[3]}}"
            for row in rows
        ]
        notes += [f"{name}: missing" for name in self._needed]
        return "\n".join([f"{self.name}: {self.title}", *lines, *notes])
