"""Protocols by name: which images are known, which are not, what of it is on this disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .._files import with_home
from .._utils import did_you_mean
from ..errors import InputError, InputTypeError
from ._image_classes import class_keys, class_list, class_order, load_split, needed_file
from ._image_protocol import GROUPS, ImageProtocol, ImageSet
from ._image_sets import HELD, SETS, load_set, locate


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
