"""How well scores separate in-distribution (ID) from out-of-distribution (OOD) images.

Every function takes the scores of the two groups; larger = more in-distribution.
"""

from __future__ import annotations

import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve

from .errors import InputError


def _check_scores(scores: np.ndarray, name: str) -> np.ndarray:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0:
        raise InputError(f"{name} must be a non-empty 1-D array, got shape {values.shape}.")
    if np.isnan(values).any():
        raise InputError(f"{name} holds NaN, first at position {int(np.isnan(values).argmax())}.")
    # Infinite scores (a log of 0) still rank; scikit-learn refuses them.
    finite = np.finfo(np.float64).max
    return np.clip(values, -finite, finite)


def _labelled(scores_id: np.ndarray, scores_ood: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores_id = _check_scores(scores_id, "scores_id")
    scores_ood = _check_scores(scores_ood, "scores_ood")
    is_id = np.repeat([1, 0], [len(scores_id), len(scores_ood)])
    return is_id, np.concatenate([scores_id, scores_ood])


def auroc(scores_id: np.ndarray, scores_ood: np.ndarray) -> float:
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


def fpr_at_tpr(
    scores_id: np.ndarray,
    scores_ood: np.ndarray,
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
    if not 0 < tpr <= 1:
        raise InputError(f"tpr must lie in (0, 1], got {tpr!r}.")
    if method not in ("first", "closest"):
        raise InputError(f"method must be 'first' or 'closest', got {method!r}.")
    is_id, scores = _labelled(scores_id, scores_ood)
    if positive == "ood":
        is_id, scores = 1 - is_id, -scores
    elif positive != "id":
        raise InputError(f"positive must be 'id' or 'ood', got {positive!r}.")
    false_positive, recall, _ = roc_curve(is_id, scores, drop_intermediate=False)
    at = np.argmax(recall >= tpr) if method == "first" else np.argmin(np.abs(recall - tpr))
    return float(false_positive[at])
