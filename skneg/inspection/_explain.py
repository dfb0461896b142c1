"""Why a detector answers as it does: the nearest classes, negatives and words of images."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._sklearn import Prepare, unwrap
from .._state import FittedState
from ..errors import InputTypeError
from ..images import ImageSequence
from ..images._inputs import images_or_none
from ..vocabulary import mark_unknown
from ._nearest_words import names_of_negatives, nearest, row_cosines
from ._tables import Explanations


def explain(detector: Any, X: Any) -> Explanations:
    """What lies behind the answer to each image; docs/explain.md says how to read it.

    Parameters
    ----------
    detector : fitted detector
        Or a fitted Pipeline that ends in one, or a search over either.
    X : sequence of images, or array-like of shape (n, d) of floats
        As in `fit`.

    Returns
    -------
    Explanations
        One entry for each image in arrays: the answer, the score and its distance to the threshold,
        the p-value, the two most likely classes and the nearest negative. Prints as a table, with
        pictures in a notebook; ``to_dict()`` and ``to_frame()`` give the numbers, ``most_suspicious(5)``
        the images that are least like the known classes. Detectors that know classes by their
        images have no cosines, those without negatives say nothing of them.

    Examples
    --------
    >>> from skneg import NegPromptDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(120, shapes=["star", "heart", "tree"], random_state=0)
    >>> detector = NegPromptDetector(model="skneg-tiny", random_state=0).fit(X, y)
    >>> why = detector.explain(X[:3])
    >>> (why.nearest_class == y[:3]).all() and (why.class_margin > 0).all()
    np.True_
    >>> why.negative_margin.shape
    (3,)
    """
    return explain_seen(*look(detector, X, "explain"))


def one_detector(estimator: Any, user: str) -> tuple[Any, Prepare]:
    """`unwrap`, for functions that look into a detector; several together have no inside of their own."""
    detector, prepare = unwrap(estimator)
    if not hasattr(detector, "_see"):
        inside = "its detector_" if hasattr(detector, "detector_") else "one of its detectors"
        raise InputTypeError(
            f"{user} looks into one detector, not a {type(detector).__name__}: give {inside}."
        )
    return detector, prepare


def look(estimator: Any, X: Any, user: str) -> tuple[Any, FittedState, Any, ImageSequence | None]:
    """The detector, its state, what it sees of X, and the images, where X has any; each is read once."""
    detector, prepare = one_detector(estimator, user)
    images, prepared = images_or_none(X), prepare(X)
    state, Z = detector._see(images if prepared is X and images is not None else prepared)
    return detector, state, Z, images


def explain_seen(
    detector: Any,
    state: FittedState,
    Z: Any,
    images: ImageSequence | None = None,
    posterior: np.ndarray | None = None,
) -> Explanations:
    """`explain` of images that are represented already, and whose posterior (n, k) may be at hand."""
    scores = detector._score(state, Z)
    posterior = detector._posterior(state, Z) if posterior is None else posterior
    rows = np.arange(len(posterior))
    first = posterior.argmax(axis=1)
    likeliest = posterior[rows, first]
    second, columns = None, dict[str, Any]()
    if posterior.shape[1] > 1:
        others = posterior.copy()
        others[rows, first] = -np.inf
        second = others.argmax(axis=1)
        columns["second_class"] = state.classes_[second]
        columns["second_posterior"] = posterior[rows, second]
        columns["class_margin"] = likeliest - posterior[rows, second]
    answer = state.classes_[first]
    if state.unknown_label is not None:
        answer = mark_unknown(answer, scores < state.offset_, state.unknown_label)
    if hasattr(state, "text_bank_"):
        columns |= _cosines_to_bank(state, whole_images(detector, Z), first, second)
    if hasattr(state, "joint_score_"):
        columns |= _parts_of_the_score(detector, state, Z)
    if images is not None and images.paths is not None:
        columns["path"] = np.array(images.paths, dtype=object)
    return Explanations(
        answer=answer,
        score=scores,
        decision=scores - state.offset_,
        p_value=state.calibrator.p_values(scores),
        nearest_class=state.classes_[first],
        nearest_posterior=likeliest,
        images=images,
        **columns,
    )


def _cosines_to_bank(
    state: FittedState, Z: np.ndarray, first: np.ndarray, second: np.ndarray | None
) -> dict[str, Any]:
    bank = state.text_bank_
    to_first = row_cosines(Z, bank.positive[first])
    columns: dict[str, Any] = {"nearest_cosine": to_first}
    if second is not None:
        columns["second_cosine"] = row_cosines(Z, bank.positive[second])
    if len(bank.common):
        word = nearest(Z, bank.common, 1)[0][:, 0]
        names = getattr(state, "words_", None) or [f"word {row}" for row in range(len(bank.common))]
        columns["word"] = np.array(names)[word]
        columns["word_cosine"] = row_cosines(Z, bank.common[word])
        columns["word_margin"] = to_first - columns["word_cosine"]
    if len(bank.negative) == 0:
        return columns
    negative = nearest(Z, bank.negative, 1)[0][:, 0]
    cosine = row_cosines(Z, bank.negative[negative])
    columns |= {
        "negative": negative,
        "negative_name": np.array(names_of_negatives(state))[negative],
        "negative_cosine": cosine,
        "negative_margin": to_first - cosine,
    }
    if bank.per_class:
        columns["negative_class"] = state.classes_[negative // bank.per_class]
    return columns


def _parts_of_the_score(detector: Any, state: FittedState, Z: np.ndarray) -> dict[str, Any]:
    parts, logits, evidence = detector._parts(state, Z)
    text, images, nearest, clarity = state.joint_score_.shares(parts).T
    columns = {"text_evidence": text, "image_evidence": images + nearest, "clarity": clarity}
    if set(state.class_names_) & set(state.joint_score_.names):  # else all are neutral
        columns["image_class"] = state.classes_[
            np.where(np.isnan(evidence[..., 0]), -np.inf, evidence[..., 0]).argmax(axis=1)
        ]
    if hasattr(state, "text_bank_"):
        columns["text_class"] = state.classes_[logits.argmax(axis=1)]
    return columns


def whole_images(detector: Any, Z: Any) -> np.ndarray:
    """The embeddings (n, d) of represented images."""
    if hasattr(Z, "embeddings"):  # with words of each image
        return Z.embeddings
    if isinstance(Z, np.ndarray) and Z.ndim < 4:
        return Z[:, 0] if Z.ndim == 3 else Z  # with those of patches
    return detector._backbone().image_tower.encode(Z, detector.batch_size)
