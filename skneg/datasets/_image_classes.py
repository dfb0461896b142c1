"""Classes of image sets: their order, what a text tower reads for them, which are known in a hard split."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from .._files import read_regular
from .._json import parse_json
from ..backbone._imagenet_names import imagenet_names
from ..errors import InputError
from ._folders import read_lines

NAME_FILES = ("class_names.json", "classnames.txt")
SPLITS_FILE = "splits_wnids.json"
# The classes of ImageNet-200 are marked among all of ImageNet's.
_LISTS = {
    "imagenet1k": ("imagenet.txt", ""),
    "imagenet200": ("imagenet.txt", " 200"),
    "cifar10": ("cifar10.txt", ""),
    "cifar100": ("cifar100.txt", ""),
}
# Of Palechor et al., as their repository has them; where there is no splits_wnids.json.
_PROTOCOL_FILES = ("p{}_test.csv", "protocols/p{}_test.csv")
# The usual lists of ImageNet names give five pairs of classes the same name; CLIP reads no capitals.
_SECOND_NAMES = {
    "cardigan": "cardigan sweater",
    "crane": "construction crane",
    "maillot": "tank suit",
    "missile": "projectile",
    "sunglasses": "dark glasses",
}


@cache
def class_list(name: str) -> tuple[str, ...]:
    """Class folders in the order of their labels: of ``"imagenet1k"``, ``"imagenet200"``, a CIFAR."""
    file, ending = _LISTS[name]
    lines = (files(__package__) / "protocols" / file).read_text(encoding="utf-8").splitlines()
    return tuple(line.partition(" ")[0] for line in lines if line.endswith(ending))


def class_order(labels: np.ndarray) -> list[str]:
    """The classes, sorted; those of a list of numbers by number."""
    keys = set(labels.tolist())
    return sorted(keys, key=(lambda key: (int(key), key)) if all(map(_is_number, keys)) else None)


def class_keys(labels: np.ndarray, order: Sequence[str]) -> np.ndarray:
    """Labels as class keys: integers of a list are positions in `order`."""
    keys = np.unique(labels).tolist()
    if not all(map(_is_number, keys)) or set(keys) <= set(order):
        return labels
    numbers = labels.astype(int)
    if numbers.max() >= len(order):
        raise InputError(f"a list has the label {numbers.max()}, but there are {len(order)} classes.")
    return np.array(order)[numbers]


def _is_number(label: str) -> bool:
    return label.isdecimal() and len(label) < 10  # of a class, and no more than numpy can hold


def load_class_names(root: Path, keys: Sequence[str]) -> list[str]:
    """What the text tower reads for each class, in the order of `keys`.

    From ``class_names.json`` (an object of class folder to name) or ``classnames.txt`` (a line
    ``folder name`` for each class) in `root`; else open_clip's names where the keys are WordNet ids of
    ImageNet or 1,000 numbers, and the folders' own where they are the classes of a CIFAR.
    """
    named = _named(root)
    if named is None:
        return _known_names(root, keys)
    missing = [key for key in keys if key not in named]
    if missing:
        raise InputError(
            f"the class names in {str(root)!r} lack {len(missing)} of {len(keys)} folders: {missing[:5]}."
        )
    return distinct_names([named[key] for key in keys])


def _known_names(root: Path, keys: Sequence[str]) -> list[str]:
    if tuple(keys) in (class_list("cifar10"), class_list("cifar100")):
        return [key.replace("_", " ") for key in keys]
    wnids = class_list("imagenet1k")
    if len(keys) == 1000 and all(map(_is_number, keys)):
        return distinct_names(imagenet_names())
    if not set(keys) <= set(wnids):
        strange = next(key for key in keys if key not in wnids)
        raise InputError(
            f"data={str(root)!r} has {len(keys)} classes, such as {strange!r}, and no "
            f"{' or '.join(NAME_FILES)}: without one, the class folders must be WordNet ids of "
            'ImageNet\'s classes. Write class_names.json, {"<folder>": "<name>", ...}.'
        )
    named = dict(zip(wnids, distinct_names(imagenet_names()), strict=True))
    return [named[key] for key in keys]


def _named(root: Path) -> dict[str, str] | None:
    as_json, as_text = (root / name for name in NAME_FILES)
    if os.path.isfile(as_json):
        named = read_json(as_json)
        if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
            raise InputError(f"{str(as_json)!r} must hold an object of class folder to name.")
        return named
    if os.path.isfile(as_text):
        parts = (line.strip().partition(" ") for line in read_lines(as_text))
        return {key: name.strip() for key, _, name in parts if key}
    return None


def distinct_names(names: Sequence[str]) -> list[str]:
    """The names, with another word where one is there for the second time."""
    seen: set[str] = set()
    distinct = []
    for name in names:
        distinct.append(_SECOND_NAMES.get(name, name) if name.casefold() in seen else name)
        seen.add(name.casefold())
    return distinct


def split_file(root: Path, name: str) -> Path | None:
    """The file that says which classes a hard split knows; None where there is none."""
    own = (template.format(name.rpartition("-")[2]) for template in _PROTOCOL_FILES)
    return next((root / place for place in (SPLITS_FILE, *own) if os.path.isfile(root / place)), None)


def needed_file(root: Path | None, split: str | None) -> list[str]:
    """What a data folder lacks for a hard split; the fourth needs nothing."""
    needs = split not in (None, "Split-4") and (root is None or split_file(root, str(split)) is None)
    return [SPLITS_FILE] if needs else []


def load_split(root: Path, name: str, order: Sequence[str] = ()) -> tuple[list[str], list[str], list[str]]:
    """A hard split, ``"Split-1"`` to ``"Split-4"``: known, unknown, and the first 10 % of the known.

    Without a file, the fourth is the first 100 classes of `order` against the others.
    """
    file = split_file(root, name)
    if file is None and name == "Split-4":
        known, unknown = list(order[:100]), list(order[100:])
        return known, unknown, first_tenth(known)
    if file is None:
        raise InputError(f"{str(root)!r} has no {SPLITS_FILE}, which says which classes {name} knows.")
    if file.suffix == ".csv":
        return _split_of_images(file)
    held = read_json(file)
    key = name.lower().replace("-", "")
    split = held.get(key) if isinstance(held, dict) else None
    split = split if isinstance(split, dict) else {}
    known, unknown, first = (split.get(k, []) for k in ("id", "ood", "open_vocab_first10pct"))
    if _are_texts(known):
        first = first or first_tenth(known)
    if not all(map(_are_texts, (known, unknown, first))):
        raise InputError(
            f"{str(file)!r} must hold an object with split1 to split4, each with lists of class folders "
            f'"id" and "ood"; {key} has not.'
        )
    if set(known) & set(unknown) or not set(first) <= set(known):
        raise InputError(
            f"{str(file)!r}, {key}: a class is both known and unknown, or trained without being known."
        )
    return known, unknown, first


def _split_of_images(file: Path) -> tuple[list[str], list[str], list[str]]:
    """From lines ``val/<wnid>/<image>,label``: known from 0 on, -2 unknown, -1 left aside."""
    of: dict[str, set[int]] = {}
    for number, line in enumerate(read_lines(file), 1):
        path, _, label = line.strip().rpartition(",")
        folder = path.split("/")[-2:-1]
        if line.strip() and not (folder and re.fullmatch(r" *-?\d{1,9}", label)):
            raise InputError(
                f"{str(file)!r}, line {number}: {line!r} is not '<folder>/<class>/<image>,label'."
            )
        if line.strip():
            of.setdefault(folder[0], set()).add(min(int(label), 0))
    if mixed := sorted(key for key, labels in of.items() if len(labels) > 1):
        raise InputError(f"{str(file)!r}: a class is both known and unknown: {mixed[:3]}.")
    known, unknown = (sorted(key for key, labels in of.items() if label in labels) for label in (0, -2))
    if not known or not unknown:
        raise InputError(f"{str(file)!r} names no {'unknown' if known else 'known'} class.")
    return known, unknown, first_tenth(known)


def first_tenth(known: list[str]) -> list[str]:
    """The classes that the 10 % setting trains."""
    return known[: max(2, len(known) // 10)]


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)


def read_json(file: Path) -> Any:
    """What a JSON file holds; an error that names it where it cannot be read."""
    try:
        return parse_json(read_regular(file), "the file")
    except (OSError, ValueError) as error:
        raise InputError(f"{str(file)!r} cannot be read as JSON: {error}") from error
