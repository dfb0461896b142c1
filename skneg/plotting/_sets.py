"""From what users hand in to named sets of images: the known classes first, then unknown ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._reading import read_images
from .._sklearn import Prepare, unwrap
from ..bank import TextBank
from ..base import OpenSetDetector
from ..errors import ImageError, InputError, InputTypeError
from ..vocabulary import check_labels
from ..words import class_means

ID, OOD = "ID", "OOD"


def fitted_detector(estimator: Any) -> tuple[Any, Prepare]:
    """See `unwrap`; refuses what is not fitted."""
    check_is_fitted(estimator)
    return unwrap(estimator)


def need(detector: Any, attribute: str, display: str, hint: str) -> Any:
    """An attribute of the detector, or an error that says what to give instead."""
    if not hasattr(detector, attribute):
        raise InputTypeError(f"{display} needs {attribute}, which {type(detector).__name__} lacks: {hint}")
    return getattr(detector, attribute)


def named(values: Any) -> dict[str, Any]:
    """OOD sets by name; a single one is called "OOD"."""
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        return {OOD: values}
    for name in values:
        if not isinstance(name, str) or name == ID:
            raise InputError(f"a set of OOD images cannot be called {name!r}; give it another text as name.")
    return {str.__str__(name): images for name, images in values.items()}  # no markup of a subclass


def by_set(detector: Any, of_images: Callable[[Any], Any], X: Any, y: Any, ood: Any) -> dict[str, Any]:
    """`of_images`, an array or the like with a row for each image, for each set."""
    others = named(ood)
    known = None if y is None else _is_known(detector, y, len(y))  # before any image is encoded
    values = of_images(X)
    if known is None:
        known = np.ones(len(values), dtype=bool)
    elif len(known) != len(values):
        raise InputError(f"X and y have different lengths: {len(values)} images, {len(known)} labels.")
    if not known.any():
        raise InputError(f"y has no known class: all {len(values)} rows are unknown.")
    sets = {ID: values[known]}
    if not known.all():
        if OOD in others:
            raise InputError(
                f'y makes {(~known).sum()} rows of X the set "{OOD}", and `ood` holds another of this name: '
                "pass a mapping with other names, or leave y out."
            )
        sets[OOD] = values[~known]
    for name, images in others.items():
        try:
            sets[name] = of_images(images)
        except ImageError as error:
            raise ImageError(f"ood[{name!r}]: {error}", error.index) from error
        except (InputError, InputTypeError) as error:  # which speaks of X
            raise type(error)(f"ood[{name!r}]: {error}") from error
    return sets


def _is_known(detector: Any, y: Any, n_samples: int) -> np.ndarray:
    hint = "leave y out and pass OOD images as `ood`."
    unknown_label = need(detector, "unknown_label_", "y", hint)
    labels = check_labels(y, n_samples)
    known = np.isin(labels, detector.classes_)
    strange = ~known & (labels != unknown_label)
    if strange.any():
        row = int(strange.argmax())
        raise InputError(
            f"y[{row}] is {labels[row].item()!r}, neither a class of the detector nor its unknown label "
            f"({unknown_label!r}). Label OOD rows with the unknown label, or pass them as `ood`."
        )
    return known


def embed(detector: Any, prepare: Prepare, display: str) -> Callable[[Any], np.ndarray]:
    """A function from images to the unit-norm embeddings (n, d) that the detector's bank is compared with."""
    if not isinstance(detector, OpenSetDetector):
        raise InputTypeError(
            f"{display} compares images with a text bank, which {type(detector).__name__} lacks: give a "
            "detector of its own, such as one of a ScoreEnsemble's detectors."
        )

    def of_images(X: Any) -> np.ndarray:
        # Not `_represent`: detectors that see more than embeddings would go to the pixels, or write captions.
        X = read_images(detector, prepare(X), detector._fitted())
        Z = X if isinstance(X, np.ndarray) else detector._embed(X)
        # Index 0 is the whole image; the rest are its patches, which have no place in the picture.
        return Z[:, 0] if Z.ndim == 3 else Z

    return of_images


def bank_of(detector: Any) -> tuple[TextBank, str]:
    """What a detector compares images with, and what to call it: its prompts, or the means of its classes."""
    state = detector._fitted()
    if hasattr(state, "text_bank_"):
        return state.text_bank_, "positive prompts"
    if not hasattr(state, "train_names_"):
        raise InputError(
            "this display compares images with prompts, and a detector with evidence='images' has none: fit "
            "it with evidence='both'."
        )
    number = {name: i for i, name in enumerate(state.class_names_)}
    rows = np.isin(state.train_names_, state.class_names_)
    targets = np.array([number[name] for name in state.train_names_[rows].tolist()])
    return TextBank.from_positives(class_means(state.train_embeddings_[rows], targets)), "class means"
