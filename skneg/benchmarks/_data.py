"""The data folder: where sets of images lie, what is missing, names of classes, the hard splits."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._files import read_regular
from .._json import parse_json
from ..datasets import list_images, load_image_folder, load_image_list
from ..datasets._folders import is_entry, read_lines
from ..errors import InputError
from ._protocols import SETS, SPLITS_FILE, Experiment, Protocol

NAME_FILES = ("class_names.json", "classnames.txt")
# What the paths in lists are relative to: the first below which the first image is found.
_LIST_ROOTS = (".", "images_largescale", "images_classic")
_CONTENTS = {
    SPLITS_FILE: ': {"split1": {"id": [<class folders>], "ood": [<class folders>]}, ... "split4"}',
    "id": "/: a folder of images per known class, and folders ood_<name>/ beside it",
}
# The usual lists of ImageNet names give five pairs of classes the same name; CLIP reads no capitals.
_SECOND_NAMES = {
    "cardigan": "cardigan sweater",
    "crane": "construction crane",
    "maillot": "tank suit",
    "missile": "projectile",
    "sunglasses": "dark glasses",
}


def locate(root: Path, key: str) -> Path | None:
    """The list or the folder of a set; None where neither exists."""
    lists = (root / name for name in SETS[key].lists)
    folders = (root / name for name in SETS[key].folders)
    return next((p for p in lists if os.path.isfile(p)), next((p for p in folders if os.path.isdir(p)), None))


def check_data(protocol: Protocol, root: Path | None) -> None:
    """Refuse a data folder that lacks anything, in one message that names everything it lacks."""
    lines = []
    for key in dict.fromkeys(k for e in protocol.experiments for k in e.needs if k in SETS):
        if root is None or locate(root, key) is None:
            held = SETS[key]
            layout = "<class>/<image>" if held.labelled else "**/<image>"
            places = " or ".join(f"{folder}/{layout}" for folder in held.folders)
            lines.append(f"  {held.title}: {places}, or a list {held.lists[-1]} (from {held.origin})")
    for name in protocol.needed_files():
        if root is None or not os.path.exists(root / name):
            lines.append(f"  {name}{_CONTENTS.get(name, '')}")
    if lines:
        if root is None:
            head = "this protocol needs data=, a folder with"
        elif os.path.isdir(root):
            head = f"data={str(root)!r} lacks what this protocol needs:"
        else:
            head = f"data={str(root)!r} is no folder on this machine; this protocol needs one with"
        raise InputError("\n".join([head, *lines]))


def load_set(root: Path, key: str) -> tuple[list[Path], np.ndarray]:
    """Paths and labels of a set; labels are class folders, or what a list says."""
    place = locate(root, key)
    assert place is not None, "check_data comes first"
    if place.is_file():
        first = next((line.strip() for line in read_lines(place) if is_entry(line)), "")
        name = first.rpartition(" ")[0].strip()
        below = next((root / r for r in _LIST_ROOTS if name and os.path.isfile(root / r / name)), root)
        return load_image_list(place, below)
    if SETS[key].labelled:
        return load_image_folder(place)
    paths = list_images(place)
    return paths, np.full(len(paths), "")


def class_order(labels: np.ndarray) -> list[str]:
    """The classes, sorted; those of a list of numbers by number."""
    keys = set(labels.tolist())
    return sorted(keys, key=(lambda key: (int(key), key)) if all(map(_is_number, keys)) else None)


def class_keys(labels: np.ndarray, order: Sequence[str]) -> np.ndarray:
    """Labels as class keys: integers of a list are positions in `order`."""
    if not all(map(_is_number, np.unique(labels).tolist())) or set(labels) <= set(order):
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
    ``folder name`` for each class) in `root`; for the 1,000 classes of ImageNet, open_clip's names.
    """
    named = _named(root)
    if named is None:
        if len(keys) != 1000 or not all(re.fullmatch(r"n\d{8}|\d+", key) for key in keys):
            raise InputError(
                f"data={str(root)!r} has {len(keys)} classes, such as {keys[0]!r}, and no "
                f"{' or '.join(NAME_FILES)}: without one, the class folders must be the 1,000 WordNet ids of "
                'ImageNet. Write class_names.json, {"<folder>": "<name>", ...}.'
            )
        from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

        return distinct_names(IMAGENET_CLASSNAMES)
    missing = [key for key in keys if key not in named]
    if missing:
        raise InputError(
            f"the class names in {str(root)!r} lack {len(missing)} of {len(keys)} folders: {missing[:5]}."
        )
    return distinct_names([named[key] for key in keys])


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


def unlike(words: Sequence[str], known: Sequence[str]) -> list[str]:
    """The words without blanks, repetitions and class names."""
    taken = {name.casefold() for name in known}
    free = {word.strip().casefold(): word.strip() for word in reversed(words)}
    return [word for key, word in reversed(free.items()) if key and key not in taken]


def choose_classes(
    experiment: Experiment, order: Sequence[str], root: Path
) -> tuple[list[str], list[str], int]:
    """Known classes, those that are trained first; unknown classes; how many are trained."""
    known, unknown = list(order), list[str]()
    if experiment.split and os.path.exists(root / SPLITS_FILE):
        known, unknown, first = load_split(root, experiment.split)
        lost = sorted(set(known + unknown) - set(order))
        if lost:
            raise InputError(
                f"{experiment.split} has {len(lost)} classes without training images, such as {lost[:3]}."
            )
    else:
        if experiment.split:
            known, unknown = known[:100], known[100:]
        first = known[: max(2, len(known) // 10)]
    if experiment.open_vocabulary:
        return [*first, *(key for key in known if key not in set(first))], unknown, len(first)
    return known, unknown, len(known)


def load_split(root: Path, name: str) -> tuple[list[str], list[str], list[str]]:
    """A hard split, ``"Split-1"`` to ``"Split-4"``: known, unknown, and the first 10 % of the known."""
    file = root / SPLITS_FILE
    held = read_json(file)
    key = name.lower().replace("-", "")
    split = held.get(key) if isinstance(held, dict) else None
    split = split if isinstance(split, dict) else {}
    known, unknown, first = (split.get(k, []) for k in ("id", "ood", "open_vocab_first10pct"))
    if _are_texts(known):
        first = first or known[: max(2, len(known) // 10)]
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


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)


def read_json(file: Path) -> Any:
    """What a JSON file holds; an error that names it where it cannot be read."""
    try:
        return parse_json(read_regular(file), "the file")
    except (OSError, ValueError) as error:
        raise InputError(f"{str(file)!r} cannot be read as JSON: {error}") from error
