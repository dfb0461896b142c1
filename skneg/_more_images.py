"""More images for a fitted detector, of its classes or of new ones, without training prompts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ._doubts import warn_of_seen_images, with_copies
from ._fitting import with_vocabulary
from ._labels import known_rows, numbered_groups
from ._naming import compare_answers
from ._reading import count_images, read_images
from ._state import FittedState
from ._utils import warn
from .errors import CalibrationWarning, InputError, InputWarning
from .threshold import Calibrator, one_of_each
from .vocabulary import Vocabulary, check_labels


def moved(
    detector: Any, state: FittedState, vocabulary: Vocabulary, X: Any, y: Any, groups: Any
) -> FittedState:
    """The state for a vocabulary, its own or another, with more images where some are given."""
    warn_of_new_labels(state, vocabulary)
    was_by_unknown = state.calibrator.is_by_unknown
    if X is not None:
        state = with_images(detector, state, vocabulary, X, y, groups)
    elif y is not None or groups is not None:
        raise InputError("y and groups say nothing without X.")
    state = with_vocabulary(detector, state, vocabulary)
    if was_by_unknown:
        warn(
            "the threshold comes from known images again; that of calibrate_unknown is lost: call it anew.",
            CalibrationWarning,
        )
    warn_of_absent(state, X is not None)  # an error where the user wants it so: nothing has changed then
    return state


def with_images(
    detector: Any, state: FittedState, vocabulary: Vocabulary, X: Any, y: Any, groups: Any
) -> FittedState:
    """The state with images of the classes of a vocabulary, which takes the place of the state's own next.

    The joint score adds them to its class means; detectors that know classes by their images keep them with
    the others; to all others they say only how known images score.
    """
    n_images = count_images(detector, X)
    rows, names = known_rows(replace(state, vocabulary=vocabulary), check_labels(y, n_images))
    if len(rows) == 0:
        raise InputError("X holds no image of a known class.")
    numbers = None if groups is None else numbered_groups(groups, n_images)[rows]
    Z = detector._represent(read_images(detector, X, state))[rows]
    learned, old = dict(state.learned), state.calibrator
    numbers = with_copies(numbers, Z, np.array(names), rows)
    compare_answers(detector, state, Z, names)
    warn_of_seen_images(Z, rows, state, "they count twice. Leave them out.")
    of_old = old.names
    if of_old is None and len(state.class_names_) == 1:
        of_old = [state.class_names_[0]] * len(old.images)
    if of_old is None:
        raise InputError(
            "the images that set the threshold have no labels, so others cannot stand beside them: "
            "calibrate(X, y) with labels first."
        )
    if "joint_score_" in learned:
        learned["joint_score_"], images, kept = learned["joint_score_"].add(Z, names, old.images, numbers)
        numbers = None if numbers is None else numbers[kept]
        calibrator = _longer(old, images, [*of_old, *(names[i] for i in kept)], numbers)
        return replace(state, learned=learned, calibrator=calibrator)
    if "train_embeddings_" not in learned:
        if not isinstance(old.images, np.ndarray):
            raise InputError(
                f"{type(detector).__name__} keeps more of an image than its embedding, and takes images for "
                "the threshold by calibrate(X, y)."
            )
        kept = np.arange(len(rows)) if numbers is None else one_of_each(numbers, np.random.RandomState(0))
        images = np.concatenate([old.images, Z[kept]])
        return replace(state, calibrator=_longer(old, images, [*of_old, *(names[i] for i in kept)]))
    learned["train_embeddings_"] = np.concatenate([learned["train_embeddings_"], Z])
    learned["train_names_"] = np.concatenate([learned["train_names_"], names])
    own = np.arange(len(rows)) if numbers is None else numbers
    own = own + 1 + learned["train_groups_"].max()
    learned["train_groups_"] = np.concatenate([learned["train_groups_"], own])
    return replace(state, learned=learned)


def warn_of_new_labels(state: FittedState, vocabulary: Vocabulary) -> None:
    """Say which class that stays gets another number for a label, where labels did not count from 0."""
    if state.classes_.dtype.kind == "U" or set(state.classes_.tolist()) == set(range(len(state.classes_))):
        return
    was = dict(zip(state.class_names_, state.classes_.tolist(), strict=True))
    for name, label in zip(vocabulary.names, vocabulary.labels.tolist(), strict=True):
        if was.get(name, label) != label:
            warn(
                f"the label of class {name!r} was {was[name]!r} and is {label!r} from now on: in a sequence, "
                "label i is the i-th name. A mapping of label to name keeps labels.",
                InputWarning,
            )
            return


def warn_of_absent(state: FittedState, gave_images: bool) -> None:
    """Say which classes have no images, where images are part of the score or were given."""
    joint = getattr(state, "joint_score_", None)
    absent = [] if joint is None else [name for name in state.class_names_ if name not in joint.names]
    if absent and hasattr(state, "text_bank_"):
        warn(
            f"{len(absent)} of {len(state.class_names_)} classes have no images, {absent[0]!r} among them: "
            "what is like them is judged by text, how many of their images the threshold rejects was not "
            "measured, and unknown images may get their names. Give images of them: set_vocabulary(names, X, "
            "y), or calibrate(X, y).",
            CalibrationWarning,
        )
        return
    measured = set(state.calibrator.names or state.class_names_)
    unmeasured = [name for name in state.class_names_ if name not in measured]
    if gave_images and unmeasured:
        warn(
            f"no image of {unmeasured[0]!r} has set the threshold ({len(unmeasured)} of "
            f"{len(state.class_names_)} classes): how many of its images are rejected was not measured. Give "
            "two or more, or calibrate(X, y).",
            CalibrationWarning,
        )


def _longer(old: Calibrator, images: Any, names: list[str], numbers: np.ndarray | None = None) -> Calibrator:
    """With more images behind the old ones, and the numbers of their groups, where they have any."""
    shift, n_old = old.shift, len(old.images)
    groups = old.groups
    if groups is not None or numbers is not None:
        groups = np.arange(n_old) if groups is None else groups
        numbers = np.arange(len(names) - n_old) if numbers is None else numbers
        groups = np.concatenate([groups, numbers + 1 + groups.max(initial=0)])
    if shift is not None:
        shift = np.concatenate([shift, np.zeros((len(names) - len(shift), 2))])
    return replace(old, images=images, names=names, shift=shift, groups=groups)
