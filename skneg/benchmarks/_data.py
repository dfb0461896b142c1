"""Which data sets the protocols need, how their folders look, and what is missing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets import list_images, load_image_folder, load_image_list
from ..datasets._folders import is_entry, read_lines
from ..errors import InputError

SPLITS_FILE = "splits_wnids.json"
NAME_FILES = ("class_names.json", "classnames.txt")
_OPENOOD_LISTS = "benchmark_imglist/imagenet"
# What the paths in lists are relative to: the first below which the first image is found.
_LIST_ROOTS = (".", "images_largescale", "images_classic")


@dataclass(frozen=True)
class DataSet:
    """A set of images in the data folder.

    Attributes
    ----------
    title : str
        As tables call it.
    folders : tuple of str
        Where it may lie below the data folder; the first that exists counts.
    lists : tuple of str
        Text files of ``path label`` lines that take its place where one exists.
    origin : str
        Where it comes from.
    labelled : bool
        Whether its images lie in a folder per class.
    """

    title: str
    folders: tuple[str, ...]
    lists: tuple[str, ...]
    origin: str
    labelled: bool = False


_ILSVRC = "image-net.org, ILSVRC 2012"
_MOS = "the subset of Huang and Li (CVPR 2021), github.com/deeplearning-wisc/large_scale_ood"
_OPENOOD = "github.com/Jingkang50/OpenOOD, v1.5"
_TEXTURES = ("Textures", "dtd", "texture", "images_classic/texture")

SETS = {
    "imagenet-train": DataSet(
        "ImageNet train",
        ("imagenet/train", "ILSVRC2012/train", "images_largescale/imagenet_1k/train"),
        ("lists/imagenet-train.txt",),
        _ILSVRC,
        labelled=True,
    ),
    "imagenet-val": DataSet(
        "ImageNet val",
        ("imagenet/val", "ILSVRC2012/val", "images_largescale/imagenet_1k/val"),
        ("lists/imagenet-val.txt",),
        f"{_ILSVRC}, sorted into one folder per class",
        labelled=True,
    ),
    "imagenet-test-openood": DataSet(
        "ImageNet val",
        ("imagenet/val", "ILSVRC2012/val", "images_largescale/imagenet_1k/val"),
        (f"{_OPENOOD_LISTS}/test_imagenet.txt", "lists/imagenet-val.txt"),
        f"{_ILSVRC}; the list of 45,000 of {_OPENOOD}",
        labelled=True,
    ),
    "inaturalist": DataSet(
        "iNaturalist",
        ("iNaturalist", "inaturalist", "images_largescale/inaturalist"),
        ("lists/inaturalist.txt",),
        _MOS,
    ),
    "sun": DataSet("SUN", ("SUN", "sun"), ("lists/sun.txt",), _MOS),
    "places": DataSet("Places", ("Places", "places"), ("lists/places.txt",), _MOS),
    "textures": DataSet(
        "Textures", _TEXTURES, ("lists/textures.txt",), "DTD, robots.ox.ac.uk/~vgg/data/dtd, all images"
    ),
    "ssb-hard": DataSet(
        "SSB-hard",
        ("ssb_hard", "images_largescale/ssb_hard"),
        (f"{_OPENOOD_LISTS}/test_ssb_hard.txt", "lists/ssb-hard.txt"),
        _OPENOOD,
    ),
    "ninco": DataSet(
        "NINCO",
        ("ninco", "NINCO", "images_largescale/ninco"),
        (f"{_OPENOOD_LISTS}/test_ninco.txt", "lists/ninco.txt"),
        _OPENOOD,
    ),
    "inaturalist-openood": DataSet(
        "iNaturalist",
        ("iNaturalist", "inaturalist", "images_largescale/inaturalist"),
        (f"{_OPENOOD_LISTS}/test_inaturalist.txt", "lists/inaturalist.txt"),
        _OPENOOD,
    ),
    "textures-openood": DataSet(
        "Textures",
        _TEXTURES,
        (f"{_OPENOOD_LISTS}/test_textures.txt", "lists/textures.txt"),
        _OPENOOD,
    ),
    "openimage-o": DataSet(
        "OpenImage-O",
        ("openimage_o", "images_largescale/openimage_o"),
        (f"{_OPENOOD_LISTS}/test_openimage_o.txt", "lists/openimage-o.txt"),
        _OPENOOD,
    ),
}


_CONTENTS = {
    SPLITS_FILE: ': {"split1": {"id": [<class folders>], "ood": [<class folders>]}, ... "split4"}',
    "id": "/: a folder of images per known class, and folders ood_<name>/ beside it",
}


def locate(root: Path, key: str) -> Path | None:
    """The list or the folder of a set; None where neither exists."""
    known = SETS[key]
    lists = (root / name for name in known.lists)
    folders = (root / name for name in known.folders)
    return next((p for p in lists if p.is_file()), next((p for p in folders if p.is_dir()), None))


def check_data(root: Path | None, keys: Iterable[str], files: Iterable[str] = ()) -> None:
    """Refuse a data folder that lacks anything, in one message that names everything it lacks.

    Parameters
    ----------
    root : Path or None
        Without one, all is lacking.
    keys : iterable of str
        Of `SETS`.
    files : iterable of str
        Further files, below `root`.
    """
    lines = []
    for key in dict.fromkeys(keys):
        if root is None or locate(root, key) is None:
            known = SETS[key]
            layout = "<class>/<image>" if known.labelled else "**/<image>"
            places = " or ".join(f"{folder}/{layout}" for folder in known.folders)
            lines.append(f"  {known.title}: {places}, or a list {known.lists[-1]} (from {known.origin})")
    lines += [
        f"  {name}{_CONTENTS.get(name, '')}" for name in files if root is None or not (root / name).exists()
    ]
    if lines:
        if root is None:
            head = "this protocol needs data=, a folder with"
        elif root.is_dir():
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
        below = next((root / r for r in _LIST_ROOTS if name and (root / r / name).is_file()), root)
        return load_image_list(place, below)
    if SETS[key].labelled:
        return load_image_folder(place)
    paths = list_images(place)
    return paths, np.full(len(paths), "")


def class_order(labels: np.ndarray) -> list[str]:
    """The classes, sorted; those of a list of numbers by number."""
    keys = set(labels.tolist())
    return sorted(keys, key=(lambda key: (int(key), key)) if all(map(str.isdecimal, keys)) else None)


def class_keys(labels: np.ndarray, order: Sequence[str]) -> np.ndarray:
    """Labels as class keys: integers of a list are positions in `order`."""
    if not all(label.isdecimal() for label in np.unique(labels).tolist()) or set(labels) <= set(order):
        return labels
    numbers = labels.astype(int)
    if numbers.max() >= len(order):
        raise InputError(f"a list has the label {numbers.max()}, but there are {len(order)} classes.")
    return np.array(order)[numbers]


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
    if as_json.is_file():
        named = read_json(as_json)
        if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
            raise InputError(f"{str(as_json)!r} must hold an object of class folder to name.")
        return named
    if as_text.is_file():
        parts = (line.strip().partition(" ") for line in read_lines(as_text))
        return {key: name.strip() for key, _, name in parts if key}
    return None


# The usual lists of ImageNet names give five pairs of classes the same name; CLIP reads no capitals.
_SECOND_NAMES = {
    "cardigan": "cardigan sweater",
    "crane": "construction crane",
    "maillot": "tank suit",
    "missile": "projectile",
    "sunglasses": "dark glasses",
}


def distinct_names(names: Sequence[str]) -> list[str]:
    """The names, with another word where one is there for the second time."""
    seen: set[str] = set()
    distinct = []
    for name in names:
        distinct.append(_SECOND_NAMES.get(name, name) if name.casefold() in seen else name)
        seen.add(name.casefold())
    return distinct


def load_splits(root: Path) -> dict[str, dict[str, list[str]]]:
    """The hard splits by name, ``"Split-1"`` to ``"Split-4"``: lists ``id``, ``ood``, ``first_10pct``."""
    file = root / SPLITS_FILE
    held = read_json(file)
    splits = {}
    for number in range(1, 5):
        split = held.get(f"split{number}") if isinstance(held, dict) else None
        split = split if isinstance(split, dict) else {}
        known, unknown = split.get("id"), split.get("ood")
        if known is None or unknown is None or not _are_texts(known) or not _are_texts(unknown):
            raise InputError(
                f"{str(file)!r} must hold an object with split1 to split4, each with lists of class folders "
                f'"id" and "ood"; split{number} has not.'
            )
        first = split.get("open_vocab_first10pct") or known[: max(2, len(known) // 10)]
        if set(known) & set(unknown) or not set(first) <= set(known):
            raise InputError(
                f"{str(file)!r}, split{number}: a class is both known and unknown, or trained "
                "without being known."
            )
        splits[f"Split-{number}"] = {"id": known, "ood": unknown, "first_10pct": list(first)}
    return splits


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)


def read_json(file: Path) -> Any:
    """What a JSON file holds; an error that names it where it cannot be read."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{str(file)!r} cannot be read as JSON: {error}") from error
