"""From `y` and `class_names` to classes: which label has which name, which row belongs to which class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets

from ._utils import refuse_masked
from .errors import InputError, InputTypeError, VocabularyError

ClassNames = Sequence[str] | Mapping[Any, str]


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The known classes.

    Attributes
    ----------
    labels : ndarray of shape (k,)
        What `predict` answers.
    names : tuple of str
        What the text tower reads, in the same order.
    """

    labels: np.ndarray
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        seen: dict[str, Any] = {}
        for label, name in zip(self.labels.tolist(), self.names, strict=True):
            if not any(c.isprintable() and not c.isspace() for c in name):
                raise VocabularyError(f"the name of class {label!r} is empty: {name!r}.")
            if name in seen:
                raise VocabularyError(
                    f"duplicate class name {name!r}: classes {seen[name]!r} and {label!r} have it."
                )
            seen[name] = label
        if len(self.names) == 0:
            raise VocabularyError("a vocabulary needs at least 1 class.")


def check_labels(y: Any, n_samples: int, name: str = "y", of_classes: bool = True) -> np.ndarray:
    """`y` as a 1-D array of integers or strings, one for each row of X; not `of_classes`, any numbers."""
    if y is None:
        raise InputError(
            "this estimator requires y to be passed, but the target y is None. With one known class: "
            "y=['good'] * len(X). Without labels: MCMDetector or WordsDetector with class_names."
        )
    refuse_masked(name, y)
    if np.ndim(y) == 2 and np.shape(y)[1] == 1:
        from sklearn.utils.validation import column_or_1d

        y = column_or_1d(y, warn=True)  # scikit-learn's warning for column vectors
    # numpy would turn a number among strings into a string without a word.
    labels = np.asarray(y, dtype=object if isinstance(y, list | tuple) else None)
    if labels.ndim != 1:
        raise InputError(f"{name} must be 1-D, one label for each image; got shape {labels.shape}.")
    if len(labels) != n_samples:
        raise InputError(f"X and {name} have different lengths: {n_samples} images, {len(labels)} labels.")
    if labels.dtype.kind in "OT":
        labels = _from_objects(labels, name)
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            raise InputError(
                f"{name} contains NaN or infinity, first at row {int((~np.isfinite(labels)).argmax())}."
            )
        if of_classes:
            try:
                check_classification_targets(labels)
            except ValueError as error:
                raise InputError(str(error)) from error
    if labels.dtype.kind not in "iufU":
        raise InputTypeError(f"{name} must hold integer or string labels, got dtype {labels.dtype}.")
    return labels


def _from_objects(labels: np.ndarray, name: str) -> np.ndarray:
    values = labels.tolist()
    for kind in (str, Integral, Real):
        if all(isinstance(value, kind) and not isinstance(value, bool) for value in values):
            return np.array(values)
    first = str if isinstance(values[0], str) else Real
    row, odd = next(
        ((i, v) for i, v in enumerate(values) if not isinstance(v, first) or isinstance(v, bool)),
        (0, values[0]),
    )
    raise InputTypeError(
        f"{name} must hold integer or string labels, all of one kind; row {row} is {odd!r} "
        f"({type(odd).__name__}). Unknown label type."
    )


def resolve_unknown_label(unknown_label: Any, labels: np.ndarray) -> Any:
    """The label of rejected images: ``"auto"`` is -1 beside numbers and ``"unknown"`` beside strings."""
    is_text = labels.dtype.kind == "U"
    if unknown_label is None:
        return None
    if isinstance(unknown_label, str) and unknown_label == "auto":
        return "unknown" if is_text else -1
    if isinstance(unknown_label, str) != is_text:
        raise InputTypeError(
            f"unknown_label={unknown_label!r} must be of the kind of the labels, which are "
            f"{'strings' if is_text else 'numbers'}."
        )
    if not is_text and not np.isfinite(unknown_label):
        raise InputError(f"unknown_label={unknown_label!r} must be a finite number.")
    return unknown_label


def mark_unknown(labels: np.ndarray, rejected: np.ndarray, unknown_label: Any) -> np.ndarray:
    """The labels, with the unknown label where an image is rejected, in a type that holds both."""
    unknown = np.asarray(unknown_label)
    if labels.dtype.kind != "U":
        unknown = unknown.astype(np.result_type(labels.dtype, np.min_scalar_type(unknown)))
    return np.where(rejected, unknown, labels)


def build_vocabulary(seen: np.ndarray, class_names: ClassNames | None) -> Vocabulary:
    """Give every label that was seen a name, and every further name a label.

    Parameters
    ----------
    seen : ndarray
        The distinct labels of the training rows, sorted.
    class_names : sequence of str, mapping of label to str, or None
        See `NegPromptDetector.fit`.

    Raises
    ------
    VocabularyError
        If a class has no name, or names do not fit the labels.
    """
    is_text = seen.dtype.kind == "U"
    if class_names is None:
        if not is_text:
            raise VocabularyError(
                f"the labels are numbers ({seen[:5].tolist()}...), which the text tower cannot read: pass "
                "class_names, a sequence of names or a mapping of label to name."
            )
        return Vocabulary(seen, tuple(seen.tolist()))
    if isinstance(class_names, Mapping):
        return _from_mapping(seen, class_names)
    names = as_names(class_names)
    if is_text and set(seen.tolist()) <= set(names):
        # The labels are themselves among the names: position must not rename "cat" to "dog".
        return Vocabulary(np.array(sorted(names)), tuple(sorted(names)))
    if len(names) == len(seen):
        for label, name in zip(seen.tolist(), names, strict=True):
            if is_text and name != label and name in seen:
                raise VocabularyError(
                    f"class_names gives label {label!r} the name {name!r}, which is another label; names "
                    "stand in the order of the sorted labels. Pass a mapping of label to name instead."
                )
        return Vocabulary(seen, tuple(names))
    if len(names) < len(seen):
        raise VocabularyError(
            f"{len(seen)} classes, but class_names has {len(names)}: no name for {seen[len(names)].item()!r}."
        )
    if is_text:
        missing = sorted(set(seen.tolist()) - set(names))
        raise VocabularyError(
            f"class_names has more names ({len(names)}) than y has labels ({len(seen)}), so labels must "
            f"be among them; not there: {missing[:5]}."
        )
    if seen[0] != 0:
        raise VocabularyError(
            f"class_names has {len(names)} names, but y has {len(seen)} labels, from {seen[0].item()!r} on: "
            "which name is whose cannot be told. Pass a mapping of label to name."
        )
    outside = seen[(seen < 0) | (seen >= len(names)) | (seen != np.floor(seen))]
    if len(outside):
        raise VocabularyError(
            f"class_names has more names ({len(names)}) than y has labels ({len(seen)}), so label i means "
            f"class_names[i]; no such name for label {outside[0].item()!r}."
        )
    return Vocabulary(np.arange(len(names)).astype(seen.dtype), tuple(names))


def _from_mapping(seen: np.ndarray, class_names: Mapping[Any, str]) -> Vocabulary:
    missing = [label for label in seen.tolist() if label not in class_names]
    if missing:
        raise VocabularyError(f"class_names has no name for label {missing[0]!r}.")
    labels = np.sort(_mapping_labels(class_names))
    if len(seen) and (labels.dtype.kind == "U") != (seen.dtype.kind == "U"):
        raise InputTypeError("the labels of class_names and of y must be of one kind.")
    return Vocabulary(labels, tuple(_as_name(class_names[label], label) for label in labels.tolist()))


def name_classes(class_names: ClassNames, keep_order: bool = False) -> Vocabulary:
    """The vocabulary of names alone: names are their own labels, a mapping gives others.

    Labels are sorted, as scikit-learn takes them to be, unless `keep_order`.
    """
    if isinstance(class_names, Mapping):
        return _from_mapping(np.array([]), class_names)
    names = as_names(class_names)
    names = names if keep_order else sorted(names)
    return Vocabulary(np.array(names), tuple(names))


def replace_vocabulary(class_names: ClassNames, like: np.ndarray, keep_order: bool = False) -> Vocabulary:
    """The vocabulary that `set_vocabulary` sets, with labels of the kind of `like`.

    Beside string labels, the names of a sequence are the labels; beside numbers, label i is the i-th name.
    Labels are sorted, as scikit-learn takes them to be, unless `keep_order`.
    """
    if isinstance(class_names, Mapping):
        labels = _mapping_labels(class_names)
        if (labels.dtype.kind == "U") != (like.dtype.kind == "U"):
            raise InputTypeError(
                f"class_names has labels such as {next(iter(class_names), None)!r}; this detector's are "
                f"such as {like[0].item()!r}."
            )
        labels = labels if keep_order else np.sort(labels)
        return Vocabulary(labels, tuple(_as_name(class_names[label], label) for label in labels.tolist()))
    if like.dtype.kind == "U":
        return name_classes(class_names, keep_order)
    names = as_names(class_names)
    return Vocabulary(np.arange(len(names)).astype(like.dtype), tuple(names))


def _mapping_labels(class_names: Mapping[Any, str]) -> np.ndarray:
    labels = list(class_names)
    for kind in (str, Integral):
        if labels and all(isinstance(label, kind) and not isinstance(label, bool) for label in labels):
            return np.array(labels)
    if labels and all(isinstance(v, Real) and float(v).is_integer() for v in labels):
        return np.array(labels, dtype=float)
    raise InputTypeError(f"the labels of class_names must all be strings or all integers, got {labels[:5]}.")


def as_names(class_names: Any) -> list[str]:
    """The names of any sequence as a list of plain strings, or an `InputTypeError`."""
    if isinstance(class_names, str | set | frozenset | type) or not isinstance(class_names, Iterable):
        raise InputTypeError(
            f"class_names must be a sequence of names or a mapping of label to name, got {class_names!r}."
        )
    return [_as_name(name, position) for position, name in enumerate(class_names)]


def _as_name(name: Any, where: Any) -> str:
    if not isinstance(name, str):
        raise InputTypeError(f"class_names[{where!r}] is {name!r}, expected a string.")
    return str(name)  # a plain string, not numpy's
