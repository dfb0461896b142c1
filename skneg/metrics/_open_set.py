"""How well images are classified where some belong to no known class."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import accuracy_score

from ..errors import InputError, InputTypeError
from ..vocabulary import check_labels, resolve_unknown_label
from ._ranking import auroc, check_scores


def oscr(scores_id: ArrayLike, scores_ood: ArrayLike, correct: ArrayLike) -> float:
    """Open-set classification rate [1]_: area under the curve of CCR over FPR.

    At a threshold, CCR (correct classification rate) is the share of ID images that are accepted and
    given their right class, FPR the share of OOD images that are accepted.

    Parameters
    ----------
    scores_id, scores_ood : array-like of shape (n,), (m,)
        Scores of the ID and of the OOD images; larger = more in-distribution.
    correct : array-like of shape (n,), bool
        Whether the closed-set prediction of each ID image is right: ``predict_proba``'s most likely
        class, not an answer that may be the unknown label.

    Returns
    -------
    float
        Between 0 and the closed-set accuracy; ties count one half, as in `auroc`. It is the AUROC of
        the rightly classified ID images times their share.

    Raises
    ------
    InputError, InputTypeError
        If a side is empty or holds NaN, or `correct` is not one truth value for each ID image.

    References
    ----------
    .. [1] Dhamija, Günther and Boult, "Reducing Network Agnostophobia", NeurIPS 2018.

    Examples
    --------
    >>> from skneg.metrics import oscr
    >>> oscr([2.0, 3.0, 4.0], [1.0, 3.5], [True, True, False])
    0.3333333333333333
    """
    known, strange = check_scores(scores_id, "scores_id"), check_scores(scores_ood, "scores_ood")
    right = np.asarray(correct)
    if right.dtype != bool:
        raise InputTypeError(f"correct must hold truth values, got dtype {right.dtype}.")
    if right.shape != known.shape:
        raise InputError(
            f"scores_id and correct have different shapes: {known.shape} and {right.shape}; give one "
            "truth value for each ID image."
        )
    if not right.any():
        return 0.0
    return float(right.mean() * auroc(known[right], strange))


def open_set_accuracy(y_true: ArrayLike, y_pred: ArrayLike, unknown_label: Any = "auto") -> float:
    """Share of right answers, where "unknown" is the right answer for an OOD image.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        True labels, with `unknown_label` for OOD images.
    y_pred : array-like of shape (n,)
        Answers of `predict`, with `unknown_label` for rejected images.
    unknown_label : label, default="auto"
        ``"auto"`` is -1 beside numbers and ``"unknown"`` beside strings.

    Returns
    -------
    float
        In [0, 1]. Depends on the shares of ID and OOD images.

    Raises
    ------
    InputError, InputTypeError
        If `y_true` has no OOD or no ID images, or the inputs do not go together.

    Examples
    --------
    >>> from skneg.metrics import open_set_accuracy
    >>> open_set_accuracy(["cat", "dog", "unknown", "unknown"], ["cat", "cat", "unknown", "dog"])
    0.5
    """
    true, answers, is_ood = _check_answers(y_true, y_pred, unknown_label)
    if not is_ood.any():
        raise InputError("y_true holds no OOD image; use id_accuracy where there are none.")
    return float(accuracy_score(true, answers))


def id_accuracy(y_true: ArrayLike, y_pred: ArrayLike, unknown_label: Any = "auto") -> float:
    """Closed-set accuracy: share of right answers among ID images alone.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        True labels; rows with `unknown_label`, if any, are left out.
    y_pred : array-like of shape (n,)
        The most likely class of each image. An ID image that is answered with `unknown_label` counts
        as wrong, so give the classes that `predict_proba` prefers, not the answers of `predict`.
    unknown_label : label, default="auto"
        ``"auto"`` is -1 beside numbers and ``"unknown"`` beside strings.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    InputError, InputTypeError
        If `y_true` has no ID image, or the inputs do not go together.

    Examples
    --------
    >>> from skneg.metrics import id_accuracy
    >>> id_accuracy([0, 1, 2, -1], [0, 1, 1, 0])
    0.6666666666666666
    """
    true, answers, is_ood = _check_answers(y_true, y_pred, unknown_label)
    return float(accuracy_score(true[~is_ood], answers[~is_ood]))


def named_labels(y: Any, name: str) -> np.ndarray:
    """`y` as a 1-D array of integers or strings; errors say `name`."""
    if np.ndim(y) != 1 or len(y) == 0:
        raise InputError(f"{name} must be a non-empty 1-D array of labels, got shape {np.shape(y)}.")
    try:
        return check_labels(y, len(y))
    except (InputError, InputTypeError) as error:
        raise type(error)(f"{name} cannot be used as labels: {error}") from error


def _check_answers(
    y_true: ArrayLike, y_pred: ArrayLike, unknown_label: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True labels, answers, and which rows are OOD."""
    true, answers = named_labels(y_true, "y_true"), named_labels(y_pred, "y_pred")
    if len(true) != len(answers):
        raise InputError(f"y_true and y_pred have different lengths: {len(true)} and {len(answers)}.")
    if (true.dtype.kind == "U") != (answers.dtype.kind == "U"):
        raise InputTypeError(
            f"y_true and y_pred must hold labels of one kind, got {true[0].item()!r} and "
            f"{answers[0].item()!r}."
        )
    unknown = resolve_unknown_label(unknown_label, true)
    if unknown is None:
        raise InputError("unknown_label=None names no label; say which one OOD images have in y_true.")
    is_ood = true == unknown
    if is_ood.all():
        raise InputError(f"y_true holds no ID image: all {len(true)} labels are {unknown!r}.")
    return true, answers, is_ood
