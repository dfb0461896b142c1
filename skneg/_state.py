"""What a fitted detector knows, as one object that never changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from ._texts import Texts
from .errors import PersistenceError, VocabularyError
from .threshold import Calibrator
from .vocabulary import Vocabulary


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and bool(np.isfinite(float(value)))


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_floats(value: Any, *ndim: int) -> bool:
    is_array = isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.ndim in ndim
    return is_array and len(value) > 0 and bool(np.isfinite(value).all())


def _is_labels(value: Any) -> bool:
    if not isinstance(value, np.ndarray) or value.ndim != 1 or value.dtype.kind not in "iufU":
        return False
    is_finite = value.dtype.kind == "U" or bool(np.isfinite(value).all())
    return is_finite and len(np.unique(value)) == len(value)


def _is_vector(value: Any, kinds: str) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in kinds


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(k, str) and k.endswith("_") for k in value)


# What a file must hold of a state, and of what kind each part is.
_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "classes_": ("a vector of distinct labels", _is_labels),
    "class_names_": ("a list of strings", _is_texts),
    "unknown_label_": ("a label or None", lambda v: v is None or isinstance(v, str) or _is_number(v)),
    "temperature_": ("a number above 0", lambda v: _is_number(v) and v > 0),
    "learned": ("a mapping of fitted attributes", _is_named),
    "model": ("a mapping of fitted attributes", _is_named),
    "calibration_embeddings_": (
        "an array of finite floats",
        lambda v: _is_floats(getattr(v, "embeddings", v), 2, 3, 4),
    ),
    "calibration_names_": ("a list of strings or None", lambda v: v is None or _is_texts(v)),
    "calibration_scores_": (
        "a sorted vector of finite floats",
        lambda v: _is_floats(v, 1) and bool((np.diff(v) >= 0).all()),
    ),
    "calibration_shift_": (
        "an array of two columns of finite floats, or None",
        lambda v: v is None or (_is_floats(v, 2) and v.shape[1] == 2),
    ),
    "calibration_groups_": ("a vector of integers, or None", lambda v: v is None or _is_vector(v, "iu")),
    "offset_": ("a finite number", _is_number),
    "columns": ("a mapping of fitted attributes", _is_named),
}


# Of what kind parts of `learned` and `model` are, where a file holds them.
_KINDS_OF_PARTS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "train_embeddings_": ("a matrix of finite floats", lambda v: _is_floats(v, 2)),
    "train_names_": ("a vector of strings", lambda v: _is_vector(v, "U")),
    "train_groups_": ("a vector of integers", lambda v: _is_vector(v, "iu")),
    "neighbors_": ("a matrix of finite floats", lambda v: _is_floats(v, 2)),
    "neighbor_targets_": ("a vector of integers", lambda v: _is_vector(v, "iu")),
    "confidences_": ("a vector of finite floats", lambda v: _is_floats(v, 1)),
    "words_": ("a list of strings", _is_texts),
    "negative_words_": ("a list of strings", _is_texts),
    "dropped_words_": ("a list of strings", _is_texts),
    "outlier_names_": ("a list of strings", _is_texts),
    "trained_names_": ("a list of strings", _is_texts),
}

# Parts that have a row each for the same things; those of the text bank by their names in it.
_TOGETHER = (
    ("train_embeddings_", "train_names_", "train_groups_"),
    ("neighbors_", "neighbor_targets_", "confidences_"),
    ("classes_", "positive"),
    ("words_", "common"),
    ("negative_words_", "negative"),
    ("outlier_names_", "negative"),
)


@dataclass(frozen=True, eq=False)
class FittedState:
    """What `fit`, `set_vocabulary` and `calibrate` make: built whole, and put in place by one assignment.

    So a prediction that reads it once gets answers of one vocabulary and one threshold, whatever another
    thread does meanwhile. Every fitted attribute, such as ``classes_``, ``offset_``, and those of `learned`
    and `model`, is an attribute of the state too.

    Attributes
    ----------
    vocabulary : Vocabulary
        Labels and names of the known classes.
    unknown_label : label or None
    temperature : float
        The model's own.
    learned : mapping
        What the images taught; stays when the vocabulary changes.
    model : mapping
        What scores need for this vocabulary, such as ``text_bank_``.
    calibrator : Calibrator
        The threshold. Only while `fit` runs there is none yet.
    columns : mapping
        ``n_features_in_`` and ``feature_names_in_``, after `fit` on embeddings.
    backbone : mapping or None
        ``name`` of the model that `fit` has used, and ``sha256`` and ``settings`` where a file says which
        weights these must be.
    texts : mapping
        What the text tower said of the names, for the next vocabulary; in no file and no pickle.
    """

    vocabulary: Vocabulary
    unknown_label: Any
    temperature: float
    learned: Mapping[str, Any]
    model: Mapping[str, Any]
    calibrator: Calibrator = None  # type: ignore[assignment]
    columns: Mapping[str, Any] = field(default_factory=dict)
    backbone: Mapping[str, Any] | None = None
    texts: Texts = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.unknown_label is not None and self.unknown_label in self.vocabulary.labels.tolist():
            raise VocabularyError(f"unknown_label={self.unknown_label!r} is also the label of a known class.")
        shared = {
            "classes_": self.vocabulary.labels,
            "class_names_": list(self.vocabulary.names),
            "unknown_label_": self.unknown_label,
            "temperature_": self.temperature,
            "backbone_": None if self.backbone is None else self.backbone["name"],
        }
        if self.calibrator is not None:
            shared |= self.calibrator.attributes()
        vars(self).update({**self.columns, **self.learned, **self.model, **shared})

    def __reduce__(self) -> tuple[Any, ...]:
        # Each array once: joblib would write the attributes beside the parts that they come from.
        return type(self), tuple(getattr(self, part.name) for part in fields(self) if part.name != "texts")

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def with_classes(self, names: list[str], model: Mapping[str, Any]) -> FittedState:
        """The same for other class names, which are their own labels."""
        return replace(self, vocabulary=Vocabulary(np.array(names), tuple(names)), model=model)

    def as_values(self) -> dict[str, Any]:
        """The parts as plain mappings, for a file."""
        return {name: getattr(self, name) for name in _KINDS}

    @classmethod
    def from_values(cls, values: Mapping[str, Any], backbone: Mapping[str, Any] | None) -> FittedState:
        """The state that `as_values` came from; refuses parts that do not fit together.

        Raises
        ------
        PersistenceError, VocabularyError
            Names what is wrong.
        """
        values = {"calibration_groups_": None, **values}  # not in files of earlier development versions
        for name, (what, holds) in _KINDS.items():
            if name not in values:
                raise PersistenceError(f"it lacks {name!r}.")
            if not holds(values[name]):
                raise PersistenceError(f"it has {values[name]!r:.200} as {name}, expected {what}.")
        if strange := sorted(set(values) - set(_KINDS)):
            raise PersistenceError(f"it has an attribute {strange[0]!r}, which no detector learns.")
        labels, names, unknown = values["classes_"], values["class_names_"], values["unknown_label_"]
        images, of_images = values["calibration_embeddings_"], values["calibration_names_"]
        scores, shift = values["calibration_scores_"], values["calibration_shift_"]
        if shift is not None and len(shift) != len(images):
            raise PersistenceError(f"it has {len(images)} calibration images, but {len(shift)} shifts.")
        groups = values["calibration_groups_"]
        if groups is not None and len(groups) != len(images):
            raise PersistenceError(f"it has {len(images)} calibration images, but {len(groups)} groups.")
        if len(labels) != len(names):
            raise PersistenceError(f"it has {len(labels)} classes_, but {len(names)} names.")
        if unknown is not None and isinstance(unknown, str) != (labels.dtype.kind == "U"):
            raise PersistenceError(f"it has the unknown_label_ {unknown!r} beside {labels[:5]}.")
        if of_images is not None and len(of_images) != len(images):
            raise PersistenceError(
                f"it has {len(images)} calibration images, but {len(of_images)} names of them."
            )
        if len(scores) > len(images):
            raise PersistenceError(f"it has {len(scores)} calibration_scores_ of {len(images)} images.")
        _check_parts({**values["learned"], **values["model"], "classes_": labels})
        return cls(
            vocabulary=Vocabulary(labels, tuple(names)),
            unknown_label=unknown,
            temperature=values["temperature_"],
            learned=values["learned"],
            model=values["model"],
            calibrator=Calibrator(images, of_images, scores, values["offset_"], shift, groups),
            columns=values["columns"],
            backbone=backbone,
        )


def _check_parts(parts: dict[str, Any]) -> None:
    """Refuse what a method has kept where it is of another kind, or does not fit together."""
    for name, (what, holds) in _KINDS_OF_PARTS.items():
        if name in parts and not holds(parts[name]):
            raise PersistenceError(f"it has {parts[name]!r:.200} as {name}, expected {what}.")
    bank = parts.get("text_bank_")
    sized = {**parts, **{name: getattr(bank, name, ()) for name in ("positive", "negative", "common")}}
    for names in _TOGETHER:
        lengths = {name: len(sized[name]) for name in names if len(sized.get(name, ()))}
        if len(set(lengths.values())) > 1:
            raise PersistenceError(f"it has parts of different lengths: {lengths}.")
    targets = parts.get("neighbor_targets_", np.zeros(0))
    if not ((targets >= 0) & (targets < len(parts["classes_"]))).all():
        raise PersistenceError(
            f"it has neighbor_targets_ that are no numbers of {len(parts['classes_'])} classes."
        )
