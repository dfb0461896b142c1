"""Protocols by name: which images are known, which are not, what of it is on this disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .._files import with_home
from .._utils import did_you_mean
from ..errors import InputError, InputTypeError
from ._image_classes import class_keys, class_list, class_order, load_class_names, load_split, needed_file
from ._image_sets import HELD, SETS, load_set, locate

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
        return f"{found:,} of {self.expected:,} images: {self.wanted}"


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
        return "\n".join([f"{self.name}: {self.title}", *lines, *notes])


def list_protocols() -> dict[str, str]:
    """The protocols that `get_protocol` knows.

    Returns
    -------
    dict of str to str
        Name to title.

    Examples
    --------
    >>> from skneg.datasets import list_protocols
    >>> list_protocols()["openood-cifar100"]
    'OpenOOD v1.5: CIFAR-100, near and far'
    """
    return {name: held["title"] for name, held in HELD["protocols"].items()}


def get_protocol(name: str, root: str | os.PathLike) -> ImageProtocol:
    """The images of a protocol that are in a data folder; nothing is downloaded.

    Parameters
    ----------
    name : str
        One of `list_protocols`.
    root : path
        The data folder, in the layout of OpenOOD's download or another that docs/protocols.md shows. Lists
        of images take the place of folders.

    Returns
    -------
    ImageProtocol
        Sets are looked for at once, and read when first used. What is missing is in its `missing`; using
        it raises.

    Raises
    ------
    InputError, InputTypeError
        If there is no such protocol or folder.

    References
    ----------
    .. [1] Zhang et al., "OpenOOD v1.5: Enhanced Benchmark for Out-of-Distribution Detection", 2023.

    Examples
    --------
    >>> import tempfile
    >>> from skneg.datasets import get_protocol
    >>> with tempfile.TemporaryDirectory() as root:
    ...     protocol = get_protocol("openood-imagenet1k", root)
    >>> list(protocol.near), len(protocol.missing)
    (['SSB-hard', 'NINCO'], 10)

    With the images in place, ``protocol`` goes with every detector:

    >>> detector.fit(
    ...     protocol.train.images, protocol.train.labels, class_names=protocol.class_names
    ... )  # doctest: +SKIP
    >>> {name: detector.score_samples(s.images) for name, s in protocol.near.items()}  # doctest: +SKIP
    """
    known = HELD["protocols"]
    if not isinstance(name, str) or name not in known:
        hint = did_you_mean(name, known) if isinstance(name, str) else ""
        raise InputError(f"There is no protocol {name!r}.{hint} Protocols: {', '.join(known)}.")
    try:
        folder = Path(with_home(root))
    except TypeError as error:
        raise InputTypeError(f"root is {root!r}, expected a path.") from error
    if not os.path.isdir(folder):
        raise InputError(f"root={str(folder)!r} is no folder on this machine.")
    return open_protocol(name, folder, {})


def open_protocol(name: str, root: Path, read: dict[str, tuple[Any, np.ndarray]]) -> ImageProtocol:
    """`get_protocol`; sets that are in `read` are taken from there, and others put into it."""
    return _Resolver(root, HELD["protocols"][name], read).protocol(name)


class _Resolver:
    """Reads the sets of a protocol, each once, with their labels as class folders."""

    def __init__(self, root: Path, held: Mapping[str, Any], read: dict[str, tuple[Any, np.ndarray]]):
        self.root, self.held, self.split, self._read = root, held, held.get("split"), read

    def protocol(self, name: str) -> ImageProtocol:
        groups = {
            group: {SETS[key].title: self.image_set(key, group) for key in self.held.get(group, ())}
            for group in GROUPS
        }
        if self.split:
            groups["near"][self.split] = self.image_set(self.held["test"], "near", self.split)
        train, test = (self.image_set(self.held[part], part) for part in ("train", "test"))
        return ImageProtocol(
            name, self.held["title"], self.root, train, test,
            groups["near"], groups["far"], groups["covariate"],
            needed_file(self.root, self.split), lambda: self.known, lambda: self.order,
        )  # fmt: skip

    def image_set(self, key: str, group: str, name: str | None = None) -> ImageSet:
        known = SETS[key]
        return ImageSet(
            name or key, name or known.title, group, locate(self.root, key),
            self.expected(key, group), known.wanted(),
            lambda: self.images(key, group), lambda: self.known,
        )  # fmt: skip

    def expected(self, key: str, group: str) -> int | None:
        """How many images a set should have; of a hard split, as many of each class of the test images."""
        if not self.split:
            return SETS[key].count
        if group == "train" or needed_file(self.root, self.split):
            return None
        chosen = load_split(self.root, self.split, class_list("imagenet1k"))[group == "near"]
        return (SETS[key].count or 0) // 1000 * len(chosen)

    @cached_property
    def order(self) -> list[str]:
        """All classes of the training images, before a split divides them."""
        if "classes" in self.held:
            return list(class_list(self.held["classes"]))
        parts = [part for part in (self.held["train"], self.held["test"]) if locate(self.root, part)]
        if not parts:
            return list(class_list("imagenet1k"))
        order = class_order(self.read(parts[0])[1])
        is_numbered = len(order) == 1000 and order == [str(i) for i in range(1000)]
        return list(class_list("imagenet1k")) if is_numbered else order

    @cached_property
    def known(self) -> list[str]:
        return load_split(self.root, self.split, self.order)[0] if self.split else self.order

    def read(self, key: str) -> tuple[Any, np.ndarray]:
        if key not in self._read:
            self._read[key] = load_set(self.root, key)
        return self._read[key]

    def images(self, key: str, group: str) -> tuple[Any, np.ndarray]:
        images, labels = self.read(key)
        if group in ("near", "far") and not self.split:
            return images, np.full(len(images), "")
        place = locate(self.root, key)
        # Of the folders of all of ImageNet, a protocol of some of its classes takes these; a list names them.
        is_part = self.held.get("classes") == "imagenet200" and place is not None and place.is_dir()
        elsewhere = class_list("imagenet1k") if is_part else ()
        keys = class_keys(labels, elsewhere or self.order)
        if strange := sorted(set(keys.tolist()) - set(self.order) - set(elsewhere)):
            raise InputError(
                f"{str(place)!r} has {len(strange)} classes that are not known, such as "
                f"{strange[:3]}: the protocol has {len(self.order)}, such as {self.order[:2]}."
            )
        chosen = load_split(self.root, self.split, self.order)[group == "near"] if self.split else self.known
        rows = np.flatnonzero(np.isin(keys, chosen))
        if len(rows) == len(keys):
            return images, keys
        kept = images[rows] if isinstance(images, np.ndarray) else [images[row] for row in rows.tolist()]
        return kept, keys[rows]
