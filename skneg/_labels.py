"""What `y`, `class_names` and `groups` say: the classes, and the class of each row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._doubts import warn_of_near_labels, warn_of_unknown_labels
from ._naming import tokenizes
from ._sklearn import labels_before_numbering, refuse_tool_above
from ._state import FittedState
from .errors import InputError, InputTypeError, VocabularyError
from .vocabulary import (
    ClassNames,
    Vocabulary,
    as_names,
    build_vocabulary,
    check_labels,
    name_classes,
    resolve_unknown_label,
)


@dataclass(frozen=True, eq=False)
class Labelled:
    """What `y` and `class_names` say: the classes, the rows of known ones, and the class of each."""

    vocabulary: Vocabulary
    unknown_label: Any
    rows: np.ndarray
    targets: np.ndarray | None  # None without y
    groups: np.ndarray | None  # numbers of groups; None without them


def read_labels(
    detector: Any, y: Any, n_images: int, class_names: ClassNames | None, groups: Any
) -> Labelled:
    """What `fit` was given, checked; parameters and errors are those of `OpenSetDetector.fit`."""
    rows = np.arange(n_images)
    numbered = None if groups is None else groups_or_none(numbered_groups(groups, n_images))
    if y is None and detector.training == "none":
        if class_names is None:
            raise VocabularyError("without y, class_names must say which classes are known.")
        # The rows of a text bank are in the order of the names.
        vocabulary = name_classes(class_names, keep_order=not tokenizes(detector, {}))
        unknown_label = resolve_unknown_label(detector.unknown_label, vocabulary.labels)
        warn_of_unknown_labels(vocabulary.labels, vocabulary.names, unknown_label)
        return Labelled(vocabulary, unknown_label, rows, None, numbered)
    labels = check_labels(y, n_images)
    unknown_label = resolve_unknown_label(detector.unknown_label, labels)
    if unknown_label is not None:
        rows = np.flatnonzero(labels != unknown_label)
    refuse_tool_above(detector.reads_names, unknown_label, len(rows) < n_images)
    seen = np.unique(labels[rows])
    if len(seen) == 0:
        raise InputError(
            f"y has no known class: all {n_images} labels are unknown_label ({unknown_label!r})."
        )
    if class_names is None and not detector.reads_names:
        class_names = {label: str(label) for label in seen.tolist()}
    if class_names is not None and not isinstance(class_names, Mapping):
        class_names = as_names(class_names)  # an iterator too: it is read more than once
    if seen.dtype.kind != "U":
        _check_numbering(detector, class_names)
    every = np.unique(labels)
    if (
        isinstance(class_names, list)
        and seen.dtype.kind != "U"
        and len(seen) < len(every) == len(class_names)
    ):
        raise VocabularyError(
            f"class_names has as many names as y has labels, but one of these, {unknown_label!r}, means "
            "unknown: whose name is whose cannot be told. Pass a mapping of label to name, or "
            "unknown_label=None."
        )
    if not tokenizes(detector, {}):
        warn_of_near_labels(seen)
    vocabulary = build_vocabulary(seen, class_names)
    is_cut = isinstance(y, np.ndarray) and y.dtype.kind == "U"
    width = y.dtype.itemsize // 4 if is_cut else 0
    warn_of_unknown_labels(vocabulary.labels, vocabulary.names, unknown_label, width)
    order = np.argsort(vocabulary.labels, kind="stable")
    targets = order[np.searchsorted(vocabulary.labels, labels[rows], sorter=order)]
    return Labelled(vocabulary, unknown_label, rows, targets, None if numbered is None else numbered[rows])


def _check_numbering(detector: Any, class_names: ClassNames | None) -> None:
    """Refuse names that do not fit the numbers which scikit-learn has put in the place of string labels."""
    labels = labels_before_numbering()
    if labels is None:
        return
    told = ", ".join(f"{i} for {label!r}" for i, label in enumerate(labels[:3]))
    what = f"scikit-learn has numbered the labels before `fit` got them ({told}, ...)"
    unknown = "unknown" if detector.unknown_label == "auto" else detector.unknown_label
    warn_of_unknown_labels(np.array(labels), labels, unknown)
    if unknown in labels:
        raise InputError(f"{what}, and {unknown!r} with them: it would be a class. Leave these rows out.")
    if not detector.reads_names:
        return
    if class_names is None or isinstance(class_names, Mapping):
        raise VocabularyError(
            f"{what}: give class_names to the constructor as a list in this order, such as {labels[:3]} ..."
        )
    names = list(class_names)
    for i, label in enumerate(labels):
        if set(labels) <= set(names) and names[i] != label:
            raise VocabularyError(
                f"{what}, but class_names[{i}] is {names[i]!r}: give class_names in the order of the sorted "
                "labels."
            )


def known_rows(state: FittedState, labels: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """The rows that are not labelled unknown, and the names of their classes."""
    if len(labels) and (labels.dtype.kind == "U") != (state.classes_.dtype.kind == "U"):
        raise InputTypeError(
            f"y has labels such as {labels[0].item()!r}; this detector's are such as "
            f"{state.classes_[0].item()!r}."
        )
    name_of = dict(zip(state.classes_.tolist(), state.class_names_, strict=True))
    rows = np.arange(len(labels))
    if state.unknown_label is not None:
        rows = np.flatnonzero(labels != state.unknown_label)
    for row in rows:
        if labels[row] not in name_of:
            raise InputError(
                f"y has label {labels[row].item()!r} in row {row}, which is not one of classes_. Leave "
                "the row out, label it unknown, or name the class with set_vocabulary first."
            )
    return rows, [name_of[label] for label in labels[rows].tolist()]


def numbered_groups(groups: Any, n_images: int) -> np.ndarray:
    """The number of each image's group."""
    return np.unique(check_labels(groups, n_images, "groups", of_classes=False), return_inverse=True)[1]


def groups_or_none(numbers: np.ndarray) -> np.ndarray | None:
    """Numbers of groups, or None where each image is its own."""
    return None if len(np.unique(numbers)) == len(numbers) else numbers
