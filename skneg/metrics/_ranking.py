"""How well scores separate ID from OOD images, whatever the threshold.

Every function takes the scores of the two groups; larger = more in-distribution.
"""

from __future__ import annotations

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from .._utils import check_option
from ..errors import InputError


def check_scores(scores: ArrayLike, name: str) -> np.ndarray:
    """Scores as a 1-D float64 array without NaN, at least one."""
    try:
        values = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be a 1-D array of numbers: {error}") from error
    if values.ndim != 1 or len(values) == 0:
        raise InputError(f"{name} must be a non-empty 1-D array, got shape {values.shape}.")
    if np.isnan(values).any():
        raise InputError(f"{name} holds NaN, first at position {int(np.isnan(values).argmax())}.")
    # Infinite scores (a log of 0) still rank; scikit-learn refuses them.
    finite = np.finfo(np.float64).max
    return np.clip(values, -finite, finite)


def _labelled(
    scores_id: ArrayLike, scores_ood: ArrayLike, positive: str = "id"
) -> tuple[np.ndarray, np.ndarray]:
    """What scikit-learn takes: 1 for the positive side, and scores that are larger there."""
    check_option("positive", positive, ("id", "ood"))
    known, strange = check_scores(scores_id, "scores_id"), check_scores(scores_ood, "scores_ood")
    is_id = np.repeat([1, 0], [len(known), len(strange)])
    scores = np.concatenate([known, strange])
    return (is_id, scores) if positive == "id" else (1 - is_id, -scores)


def auroc(scores_id: ArrayLike, scores_ood: ArrayLike) -> float:
    """Area under the ROC curve: the chance that an ID image outscores an OOD image.

    Parameters
    ----------
    scores_id, scores_ood : array-like of shape (n,), (m,)
        Scores of the ID and of the OOD images.

    Returns
    -------
    float
        In [0, 1]; ties count one half, as in scikit-learn. The same whichever side is positive.

    Raises
    ------
    InputError
        If a side is empty or holds NaN.

    Examples
    --------
    >>> from skneg.metrics import auroc
    >>> auroc([2.0, 3.0], [1.0, 2.0])
    0.875
    """
    return float(roc_auc_score(*_labelled(scores_id, scores_ood)))


def aupr(scores_id: ArrayLike, scores_ood: ArrayLike, *, positive: str = "id") -> float:
    """Area under the precision-recall curve, as average precision.

    Parameters
    ----------
    scores_id, scores_ood : array-like of shape (n,), (m,)
        Scores of the ID and of the OOD images.
    positive : {"id", "ood"}, default="id"
        Which side is to be found: ``"id"`` is known as AUPR-in, ``"ood"`` as AUPR-out.

    Returns
    -------
    float
        In (0, 1]. The sum of precisions weighted by the steps in recall, as in scikit-learn: the
        trapezoid rule, which some papers' code uses, gives more. Depends on the shares of ID and OOD
        images: chance level is the share of the positive side.

    Raises
    ------
    InputError
        If a side is empty or holds NaN, or `positive` is neither.

    Examples
    --------
    >>> from skneg.metrics import aupr
    >>> aupr([2.0, 3.0], [1.0, 2.5])
    0.8333333333333333
    """
    return float(average_precision_score(*_labelled(scores_id, scores_ood, positive)))


def fpr_at_tpr(
    scores_id: ArrayLike,
    scores_ood: ArrayLike,
    tpr: float = 0.95,
    *,
    positive: str = "id",
    method: str = "first",
) -> float:
    """False-positive rate at a given recall (FPR95 at 0.95).

    Parameters
    ----------
    scores_id, scores_ood : array-like of shape (n,), (m,)
        Scores of the ID and of the OOD images.
    tpr : float, default=0.95
        Recall of the positive class.
    positive : {"id", "ood"}, default="id"
        ``"id"``: share of OOD images accepted where `tpr` of the ID images are, as in the CLIP
        papers. ``"ood"``: share of ID images rejected where `tpr` of the OOD images are, as in
        OpenOOD. The two differ on the same scores.
    method : {"first", "closest"}, default="first"
        ``"first"``: at the first threshold that reaches `tpr`. ``"closest"``: at the threshold whose
        recall is closest to it (the first of equals), as several papers' code does.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    InputError
        If a side is empty or holds NaN, or a parameter is not usable.

    Examples
    --------
    >>> from skneg.metrics import fpr_at_tpr
    >>> fpr_at_tpr([2.0, 3.0, 4.0, 5.0], [1.0, 2.5], tpr=0.75)
    0.0
    >>> fpr_at_tpr([2.0, 3.0, 4.0, 5.0], [1.0, 2.5], tpr=1.0)
    0.5
    """
    if not isinstance(tpr, Real) or not 0 < tpr <= 1:
        raise InputError(f"tpr must lie in (0, 1], got {tpr!r}.")
    check_option("method", method, ("first", "closest"))
    is_positive, scores = _labelled(scores_id, scores_ood, positive)
    false_positive, recall, _ = roc_curve(is_positive, scores, drop_intermediate=False)
    at = np.argmax(recall >= tpr) if method == "first" else np.argmin(np.abs(recall - tpr))
    return float(false_positive[at])


def detection_error(scores_id: ArrayLike, scores_ood: ArrayLike) -> float:
    """The smallest mean of the two error rates that any threshold gives.

    The mean of the share of ID images rejected and the share of OOD images accepted: the error of the
    best threshold where both sides are equally likely. [1]_ fixes the threshold at a recall of 95 %
    instead; that is ``(0.05 + fpr_at_tpr(scores_id, scores_ood)) / 2``.

    Parameters
    ----------
    scores_id, scores_ood : array-like of shape (n,), (m,)
        Scores of the ID and of the OOD images.

    Returns
    -------
    float
        In [0, 0.5].

    Raises
    ------
    InputError
        If a side is empty or holds NaN.

    References
    ----------
    .. [1] Liang, Li and Srikant, "Enhancing the Reliability of Out-of-distribution Image Detection in
       Neural Networks", ICLR 2018.

    Examples
    --------
    >>> from skneg.metrics import detection_error
    >>> detection_error([2.0, 3.0, 4.0, 5.0], [1.0, 2.5])
    0.125
    """
    false_positive, recall, _ = roc_curve(*_labelled(scores_id, scores_ood), drop_intermediate=False)
    return float(np.min(1 - recall + false_positive) / 2)
