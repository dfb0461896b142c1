"""How a detector's state is made: from images and labels, for another vocabulary, for another threshold.

Functions on any detector; what a method does by its own lies in its hooks (see `skneg.base`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ._crossfit import cross_fit_detector
from ._doubts import warn_of_seen_images, warn_of_unknown_labels, with_copies
from ._labels import groups_or_none, known_rows, numbered_groups, read_labels
from ._naming import check_names, compare_answers, compare_names
from ._reading import count_images, read_images
from ._sklearn import check_columns
from ._state import FittedState
from ._texts import remembering
from ._utils import check_seed, finite, warn
from .errors import CalibrationWarning, InputError, PersistenceError, VocabularyError
from .evidence import CROSS_FITTED
from .images import is_embeddings
from .threshold import (
    Calibrator,
    offset_by_unknown,
    one_of_each,
    p_values,
    smallest_calibration_set,
    split_for_calibration,
)
from .vocabulary import (
    ClassNames,
    Vocabulary,
    check_labels,
    mark_unknown,
)

_WHOSE = "the threshold"


def check_several(detector: Any, names: Sequence[str]) -> None:
    """Refuse one known class where a method compares classes with each other."""
    if len(names) < 2 and not detector.one_class:
        raise VocabularyError(
            f"{type(detector).__name__} compares classes with each other and needs at least 2 classes, got 1 "
            f"class: {list(names)}. With one known class, take NegPromptDetector(evidence='images'), "
            "KNNDetector or MahalanobisDetector (they go by its images), or WordsDetector (by its name)."
        )


def fit_state(
    detector: Any, X: Any, y: Any, class_names: ClassNames | None, groups: Any = None
) -> FittedState:
    """The state that `fit` makes."""
    n_images = count_images(detector, X)
    if n_images == 0:
        raise InputError("X holds no images (found array with 0 sample(s)); at least 1 is required.")
    labelled = read_labels(detector, y, n_images, class_names, groups)
    names, rows, targets = labelled.vocabulary.names, labelled.rows, labelled.targets
    groups = labelled.groups
    check_several(detector, names)
    check_names(detector, {}, names)
    columns: dict[str, Any] = {}
    if is_embeddings(X):
        X, columns = check_columns(X, detector, None)
    Z = detector._represent(read_images(detector, X, None))
    if len(rows) < n_images or not isinstance(Z, np.ndarray):
        Z = Z[rows]
    groups = with_copies(groups, Z, None if targets is None else labelled.vocabulary.labels[targets], rows)
    rng, train, seed = np.random.RandomState(0), np.arange(len(rows)), 0
    held, crosses = train if groups is None else one_of_each(groups, rng), False
    if targets is not None and detector.training != "none":
        rng, rule = check_seed(detector.random_state), detector.calibration
        crosses = rule in ("auto", "cross")
        if crosses or rule == "train":
            held = train
        else:
            train, held = split_for_calibration(targets, rule, detector.contamination, rng, groups)
        seed = int(rng.randint(np.iinfo(np.int32).max))
    learned = detector._learn(
        *(part if part is None or len(train) == len(rows) else part[train] for part in (Z, targets)),
        names,
        seed,
        None if groups is None else groups[train],
    )
    cross_fitted = learned.pop(CROSS_FITTED, None)
    of_images = None if targets is None else [names[target] for target in targets]
    with remembering({}) as texts:
        state = FittedState(
            labelled.vocabulary,
            labelled.unknown_label,
            detector._space()[1],
            learned,
            detector._prepare(learned, names),
            columns=columns,
            texts=texts,
        )
        if targets is not None:
            compare_names(detector, state, Z, targets)
    if crosses and targets is not None and of_images is not None:
        if cross_fitted is None:
            with remembering(texts):
                cross_fitted = cross_fit_detector(detector, Z, targets, names, seed, groups)
        return replace(state, calibrator=_by_honest(detector, state, Z, of_images, groups, *cross_fitted))
    images = Z if len(held) == len(rows) else Z[held]
    of_images = None if of_images is None else [of_images[row] for row in held]
    scores = calibration_scores(detector, state, images, of_images)
    calibrator = Calibrator.of(
        images,
        of_images,
        scores,
        detector.contamination,
        _WHOSE,
        None,
        None if groups is None else groups[held],
    )
    return replace(state, calibrator=calibrator)


def _by_honest(
    detector: Any,
    state: FittedState,
    Z: Any,
    names: list[str],
    groups: np.ndarray | None,
    held: np.ndarray,
    honest: np.ndarray,
    images: Any = None,
) -> Calibrator:
    """The threshold from scores (m, 2) that the rows `held` of Z have by what other images teach.

    Where there are none, from all training images as they score. `images` is what is kept of the rows.
    """
    if len(held) == 0:
        _warn(
            "no image has another of its class, and of another group, beside it, which could say how a new "
            "one scores. The threshold comes from the training images, and rejects more of the known classes "
            "than `contamination` says. Give more images, here or to calibrate."
        )
        scores = np.asarray(detector._score(state, Z))
        calibrator = Calibrator.of(Z, names, scores, detector.contamination, _WHOSE)
        return replace(calibrator, shift=np.zeros((len(names), 2)), groups=groups)
    if images is None:
        images = Z if len(held) == len(names) else Z[held]
    calibrator = Calibrator.of(
        images, [names[row] for row in held], honest[:, 0], detector.contamination, _WHOSE
    )
    needed = smallest_calibration_set(detector.contamination)
    n_groups = len(held) if groups is None else len(np.unique(groups[held]))
    if n_groups < needed <= len(held):
        _warn(
            f"{_WHOSE} comes from {n_groups} groups of images, and images of one group are no new draws: for "
            f"contamination={detector.contamination}, {needed} groups would be needed to be sure of it."
        )
    state = replace(state, calibrator=calibrator)
    now = detector._score(state, images), own_scores(detector, state)[0]
    of_held = None if groups is None else groups[held]
    return replace(calibrator, shift=honest - np.stack(now, axis=1), groups=of_held)


def _cross_fitted_again(detector: Any, state: FittedState) -> Calibrator | None:
    """The threshold of a state with other classes, images or parameters, where all its images are kept.

    None where they are not, or where other images have set the threshold.
    """
    if state.calibrator.shift is None or "train_embeddings_" not in state.learned:
        return None
    place = {name: i for i, name in enumerate(state.class_names_)}
    rows = np.flatnonzero([name in place for name in state.train_names_])
    names, Z = state.train_names_[rows].tolist(), state.train_embeddings_[rows]
    targets, groups = np.array([place[name] for name in names]), groups_or_none(state.train_groups_[rows])
    given = {name: value for name, value in state.learned.items() if name == "given_bank_"}
    cross_fitted = cross_fit_detector(detector, Z, targets, state.class_names_, state.seed_, groups, given)
    return _by_honest(detector, state, Z, names, groups, *cross_fitted)


def with_vocabulary(detector: Any, state: FittedState, vocabulary: Vocabulary) -> FittedState:
    """The state with other classes."""
    check_several(detector, vocabulary.names)
    if vocabulary is not state.vocabulary:
        check_names(detector, state.learned, vocabulary.names)
        warn_of_unknown_labels(vocabulary.labels, vocabulary.names, state.unknown_label)
    with remembering(state.texts) as texts:
        model = detector._prepare(state.learned, vocabulary.names)
        changed = replace(state, vocabulary=vocabulary, model=model, texts=texts)
        return _calibrated_again(detector, state, changed)


def _calibrated_again(detector: Any, state: FittedState, changed: FittedState) -> FittedState:
    """The state with other classes and a threshold for them."""
    vocabulary = changed.vocabulary
    again = _cross_fitted_again(detector, changed)
    if again is not None:
        return replace(changed, calibrator=again)
    images, of_images, shift = (getattr(state.calibrator, part) for part in ("images", "names", "shift"))
    if of_images is None and not set(state.class_names_) <= set(vocabulary.names):
        _warn(
            "the images that set the threshold have no labels, so each counts as of the class that was "
            "nearest to it: the new threshold is a guess. calibrate(X) with images of the new classes "
            "sets one that holds; labels in fit or calibrate avoid the guess."
        )
        nearest = detector._posterior(state, images).argmax(axis=1)
        of_images = [state.class_names_[number] for number in nearest]
    try:
        scores = calibration_scores(detector, changed, images, of_images, shift)
    except InputError as error:
        _warn(f"the threshold stays as it was: {error} Call calibrate(X, y) with images of the new classes.")
        return replace(changed, calibrator=replace(state.calibrator, names=of_images))
    groups = state.calibrator.groups
    calibrator = Calibrator.of(images, of_images, scores, detector.contamination, _WHOSE, shift, groups)
    return replace(changed, calibrator=calibrator)


def recalibrate(detector: Any, state: FittedState, X: Any, y: Any, groups: Any = None) -> FittedState:
    """The state with a threshold from other images, or from the same ones scored again."""
    parts = ("images", "names", "shift", "groups")
    images, names, shift, together = (getattr(state.calibrator, part) for part in parts)
    if X is None:
        if y is not None or groups is not None:
            raise InputError("calibrate got y or groups without X: they say nothing without their images.")
        again = _cross_fitted_again(detector, state)
        if again is not None:
            return replace(state, calibrator=again)
    else:
        n_images = count_images(detector, X)
        rows, names, shift, together = np.arange(n_images), None, None, None
        if y is not None:
            rows, names = known_rows(state, check_labels(y, n_images))
        images = detector._represent(read_images(detector, X, state))[rows]
        numbers = None if groups is None else numbered_groups(groups, n_images)[rows]
        numbers = with_copies(numbers, images, None if names is None else np.array(names), rows)
        compare_answers(detector, state, images, names)
        if detector.training != "none":
            warn_of_seen_images(
                images,
                rows,
                state,
                "a threshold from images that `fit` has learned from is no promise for new ones. "
                "Calibrate with others, or call calibrate() alone.",
            )
        if numbers is not None:
            drawn = one_of_each(numbers, np.random.RandomState(0))
            images, names = images[drawn], None if names is None else [names[i] for i in drawn]
        needed = smallest_calibration_set(detector.contamination)
        if len(images) < needed:
            raise InputError(
                f"{len(images)} {'images' if numbers is None else 'groups'} of known classes are too few for "
                f"contamination={detector.contamination}: at least {needed} are needed. Give more images, or "
                "set a larger contamination."
            )
    with remembering(state.texts):
        scores = calibration_scores(detector, state, images, names, shift)
    calibrator = Calibrator.of(images, names, scores, detector.contamination, shift=shift, groups=together)
    return replace(state, calibrator=calibrator)


def with_unknown(
    detector: Any, state: FittedState, X: Any, y: Any, accepted: float | None, cost: float | None
) -> FittedState:
    """The state with a threshold that images of unknown classes set."""
    scores = detector.score_samples(X)
    if y is not None:
        scores = scores[check_labels(y, len(scores)) == state.unknown_label]
    if len(scores) == 0:
        raise InputError(f"no row is labelled with unknown_label, {state.unknown_label!r}.")
    offset = offset_by_unknown(state.calibrator.scores, scores, accepted, cost)
    return replace(state, calibrator=replace(state.calibrator, offset=offset))


def calibration_scores(
    detector: Any,
    state: FittedState,
    images: Any,
    names: list[str] | None,
    shift: np.ndarray | None = None,
) -> np.ndarray:
    """Scores of the images that set the threshold, in their order, as far as they can be scored.

    Images whose class is not in the vocabulary are scored with it added, or left out where the method
    cannot know it. `shift` is that of `Calibrator`.
    """
    known = set(state.class_names_)
    stays = np.array([name in known for name in names or ()], dtype=bool)
    added = np.zeros(len(images)) if shift is None else shift[:, 0]
    if names is None or stays.all():
        return detector._score(state, images) + added
    scores = np.empty(len(names))
    scores[stays] = detector._score(state, images[stays]) if stays.any() else []
    gone = [name for name in names if name not in known]
    others = detector._score_of_missing(state, images[~stays], gone)
    if others is None:
        if not stays.any():
            raise InputError("none of the images that set the threshold belongs to a known class.")
        return scores[stays] + added[stays]
    scores[~stays] = others
    return scores + added


def own_scores(detector: Any, state: FittedState) -> tuple[np.ndarray, np.ndarray]:
    """The score of its own class for each image that sets the threshold, and the number of that class.

    Of images whose class is in the vocabulary and known: see `OpenSetDetector.predict_set`.
    """
    calibrator, place = state.calibrator, {name: i for i, name in enumerate(state.class_names_)}
    found = [(i, place[name]) for i, name in enumerate(calibrator.names or ()) if name in place]
    rows, numbers = np.array(found, dtype=int).reshape(-1, 2).T
    if not found:
        return np.empty(0), numbers
    scores = detector._class_scores(state, calibrator.images[rows])[np.arange(len(rows)), numbers]
    return scores if calibrator.shift is None else scores + calibrator.shift[rows, 1], numbers


def answers(detector: Any, state: FittedState, Z: Any) -> np.ndarray:
    """What `predict` answers to what the method sees."""
    if state.unknown_label is None:
        return state.classes_[detector._posterior(state, Z).argmax(axis=1)]
    scores, posterior = detector._judge(state, Z)
    labels = state.classes_[posterior.argmax(axis=1)]
    return mark_unknown(labels, finite(scores) < state.offset_, state.unknown_label)


def label_sets(
    detector: Any, state: FittedState, alpha: float, by_class: bool
) -> Callable[[FittedState, Any], np.ndarray]:
    """What says which classes (n, k) each image may be of; see `OpenSetDetector.predict_set`."""
    own, numbers = own_scores(detector, state)
    if len(own) == 0:
        raise InputError(
            "predict_set compares with images of the known classes, and the threshold was set by images "
            "without labels: calibrate(X, y) with labels."
        )
    needed = smallest_calibration_set(alpha)
    if not by_class:
        if len(own) < needed:
            _warn_of_few(f"{len(own)} images are", alpha, needed)
        own.sort()
        return lambda state, Z: p_values(detector._class_scores(state, Z), own) > alpha
    counts = np.bincount(numbers, minlength=len(state.classes_))
    if counts.min() < needed:
        few = [name for name, n in zip(state.class_names_, counts, strict=True) if n < needed]
        _warn_of_few(
            f"{len(few)} classes, {few[0]!r} with {counts.min()} images among them, have", alpha, needed
        )
    by_class_own = [np.sort(own[numbers == c]) for c in range(len(counts))]

    def sets(state: FittedState, Z: Any) -> np.ndarray:
        scores = detector._class_scores(state, Z).T
        p = [p_values(of_class, own) for of_class, own in zip(scores, by_class_own, strict=True)]
        return np.stack(p, axis=1) > alpha

    return sets


def _warn_of_few(what: str, alpha: float, needed: int) -> None:
    _warn(f"{what} too few for alpha={alpha}: with fewer than {needed} a class is never left out.")


def _warn(message: str) -> None:
    warn(message, CalibrationWarning)


def check_answers(detector: Any, state: FittedState) -> None:
    """Refuse a state whose parts do not fit together, by having it score one image that it has kept."""
    if detector.needs in ("pixels", "the text tower in predictions"):
        return  # its scores need the model, which is loaded when first needed
    kept = {len(value) for key, value in state.learned.items() if key.startswith("train_")}
    if len(kept) > 1:
        raise PersistenceError(f"its {type(detector).__name__} keeps training images of different numbers.")
    with np.errstate(all="ignore"):
        image = state.calibrator.images[np.arange(1)]
        score, posterior = detector._score(state, image), detector._posterior(state, image)
    name = type(detector).__name__
    if score.shape != (1,) or posterior.shape != (1, len(state.classes_)):
        raise PersistenceError(f"its {name} gives scores of a wrong shape.")
    if not np.isfinite(score).all() or not np.isfinite(posterior).all():
        raise PersistenceError(f"its {name} gives scores that are not finite.")
