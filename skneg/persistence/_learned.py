"""What each detector learns: the attributes that a file may and must hold, and of what kind they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from ..bank import TextBank
from ..errors import PersistenceError
from ..vocabulary import Vocabulary


class _Kind(NamedTuple):
    what: str
    holds: Callable[[Any], bool]
    needed: bool = True


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _is_integer(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_floats(value: Any, *ndim: int) -> bool:
    is_array = isinstance(value, np.ndarray) and value.dtype.kind == "f"
    return is_array and value.ndim in ndim and bool(np.isfinite(value).all())


def _is_labels(value: Any) -> bool:
    if not isinstance(value, np.ndarray) or value.ndim != 1 or value.dtype.kind not in "iufU":
        return False
    is_finite = value.dtype.kind == "U" or bool(np.isfinite(value).all())
    return is_finite and len(np.unique(value)) == len(value)


def _is_scores(value: Any) -> bool:
    return _is_floats(value, 1) and len(value) > 0 and bool((np.diff(value) >= 0).all())


def _is_calibration(value: Any) -> bool:
    if isinstance(value, dict):  # images that are more than numbers; their detector knows the rest
        value = value.get("embeddings")
    return _is_floats(value, 2, 3, 4) and len(value) > 0


def _is_bank(value: Any) -> bool:
    parts = (value.positive, value.negative, value.common) if isinstance(value, TextBank) else (value,)
    return all(np.ndim(part) == 2 for part in parts)


def _is_history(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(key, str) and isinstance(curve, np.ndarray) for key, curve in value.items()
    )


def _is_members(value: Any) -> bool:
    from ..base import BaseDetector

    return isinstance(value, list) and all(isinstance(member, BaseDetector) for member in value)


_NUMBER = _Kind("a finite number", _is_number)
_INTEGER = _Kind("an integer", _is_integer)
_SEED = _Kind("an integer of at least 0", lambda value: _is_integer(value) and value >= 0)
_TEXTS = _Kind("a list of strings", _is_texts)
_VECTOR = _Kind("a vector of finite floats", lambda value: _is_floats(value, 1))
_MATRIX = _Kind("a matrix of finite floats", lambda value: _is_floats(value, 2))
_CONTEXTS = _Kind("an array of finite floats", lambda value: _is_floats(value, 2, 3, 4))
_NAMED_ROWS = _Kind(
    "a vector of strings",
    lambda value: isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind == "U",
)

# By the name of the class that learns them; derived classes do as well.
_LEARNED: dict[str, dict[str, _Kind]] = {
    "BaseDetector": {
        "classes_": _Kind("a vector of distinct labels", _is_labels),
        "class_names_": _TEXTS,
        "offset_": _NUMBER,
        "temperature_": _Kind("a number above 0", lambda value: _is_number(value) and value > 0),
        "unknown_label_": _Kind(
            "a label or None", lambda value: value is None or isinstance(value, str) or _is_number(value)
        ),
        "calibration_embeddings_": _Kind("an array of finite floats", _is_calibration),
        "calibration_names_": _Kind(
            "a list of strings or None", lambda value: value is None or _is_texts(value)
        ),
        "calibration_scores_": _Kind("a sorted vector of finite floats", _is_scores),
        "backbone_": _Kind("a string or None", lambda value: isinstance(value, str | None), needed=False),
        "n_features_in_": _Kind("an integer", _is_integer, needed=False),
        "feature_names_in_": _Kind(
            "a vector of strings",
            lambda value: isinstance(value, np.ndarray) and value.ndim == 1 and _is_texts(value.tolist()),
            needed=False,
        ),
    },
    "PromptDetector": {"_trained_names": _TEXTS},
    "NegPromptDetector": {
        "positive_context_": _CONTEXTS,
        "negative_context_": _CONTEXTS,
        "history_": _Kind("a dict of arrays", _is_history),
    },
    "CoOpDetector": {
        "positive_context_": _CONTEXTS,
        "_negative_context": _CONTEXTS,
        "history_": _Kind("a dict of arrays", _is_history),
    },
    "LSNDetector": {"negative_context_": _CONTEXTS},
    "TextDetector": {"given_bank_": _Kind("a text bank or a matrix", _is_bank, needed=False)},
    "EOEDetector": {"outlier_names_": _TEXTS},
    "NegLabelDetector": {"group_seed_": _SEED, "negative_words_": _TEXTS},
    "ReActDetector": {"clip_value_": _NUMBER},
    "FeatureDetector": {"_seed": _SEED, "train_embeddings_": _MATRIX, "train_names_": _NAMED_ROWS},
    "LinearProbeDetector": {
        "clip_value_": _NUMBER, "coef_": _MATRIX, "intercept_": _VECTOR, "n_iter_": _INTEGER,
    },
    "MahalanobisDetector": {"means_": _MATRIX, "precision_": _MATRIX},
    "ScoreEnsemble": {
        "detectors_": _Kind("a list of detectors", _is_members, needed=False),
        "_all_used": _Kind("a bool", lambda value: isinstance(value, bool), needed=False),
    },
}  # fmt: skip


def learned_by(cls: type) -> dict[str, _Kind]:
    """The kinds of a class's fitted attributes, by name."""
    return {name: kind for base in cls.__mro__ for name, kind in _LEARNED.get(base.__name__, {}).items()}


def check_learned(cls: type, state: Mapping[str, Any]) -> None:
    """Refuse fitted attributes that are not a class's own, missing, of another kind or at odds.

    Raises
    ------
    PersistenceError
        Names the attribute.
    """
    kinds = learned_by(cls)
    for name, value in state.items():
        if name not in kinds:
            raise PersistenceError(f"it has an attribute {name!r}, which {cls.__name__} does not learn.")
        if not kinds[name].holds(value):
            got = (
                f"an array {value.shape} of {value.dtype}" if isinstance(value, np.ndarray) else f"{value!r}"
            )
            raise PersistenceError(
                f"its {cls.__name__} has {got[:200]} as {name}, expected {kinds[name].what}."
            )
    if missing := sorted(name for name, kind in kinds.items() if kind.needed and name not in state):
        raise PersistenceError(f"its {cls.__name__} lacks {missing[0]!r}.")
    if "classes_" in state:
        _check_classes(cls, state)


def check_answers(detector: Any) -> None:
    """Refuse a detector whose parts do not fit together, by having it score one image it has kept."""
    with np.errstate(all="ignore"):
        image = detector._rows(detector.calibration_embeddings_, np.arange(1))
        score, posterior = detector._score(image), detector._posterior(image)
    if score.shape != (1,) or posterior.shape != (1, len(detector.classes_)):
        raise PersistenceError(f"its {type(detector).__name__} gives scores of a wrong shape.")
    if not np.isfinite(score).all() or not np.isfinite(posterior).all():
        raise PersistenceError(f"its {type(detector).__name__} gives scores that are not finite.")


def _check_classes(cls: type, state: Mapping[str, Any]) -> None:
    labels, names, unknown = state["classes_"], state["class_names_"], state["unknown_label_"]
    if len(labels) != len(names):
        raise PersistenceError(f"its {cls.__name__} has {len(labels)} classes_, but {len(names)} names.")
    Vocabulary(labels, tuple(names))  # refuses too few, empty and duplicate names
    is_text = labels.dtype.kind == "U"
    if unknown is not None and (isinstance(unknown, str) != is_text or unknown in labels.tolist()):
        raise PersistenceError(f"its {cls.__name__} has the unknown_label_ {unknown!r} beside {labels[:5]}.")
    images, of_images = state["calibration_embeddings_"], state["calibration_names_"]
    n_images = len(images["embeddings"] if isinstance(images, dict) else images)
    if of_images is not None and len(of_images) != n_images:
        raise PersistenceError(
            f"its {cls.__name__} has {n_images} calibration images, but {len(of_images)} names of them."
        )
