"""The data folder: what is missing, what is known of its classes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..datasets._image_classes import SPLITS_FILE, first_tenth, load_split
from ..datasets._image_sets import SETS, locate
from ..errors import InputError
from ._protocols import Experiment, Protocol

_CONTENTS = {
    SPLITS_FILE: ': {"split1": {"id": [<class folders>], "ood": [<class folders>]}, ... "split4"}',
    "id": "/: a folder of images per known class, and folders ood_<name>/ beside it",
}


def check_data(protocol: Protocol, root: Path | None) -> None:
    """Refuse a data folder that lacks anything, in one message that names everything it lacks."""
    lines = []
    for key in dict.fromkeys(k for e in protocol.experiments for k in e.needs if k in SETS):
        if root is None or locate(root, key) is None:
            lines.append(f"  {SETS[key].wanted()}")
    for name in protocol.needed_files(root):
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
    if experiment.split:
        known, unknown, first = load_split(root, experiment.split, order)
        if lost := sorted(set(known + unknown) - set(order)):
            raise InputError(
                f"{experiment.split} has {len(lost)} classes without training images, such as {lost[:3]}."
            )
    else:
        first = first_tenth(known)
    if experiment.open_vocabulary:
        return [*first, *(key for key in known if key not in set(first))], unknown, len(first)
    return known, unknown, len(known)
