"""Is one detector's AUROC larger than another's, on the same images?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm, rankdata

from ..errors import InputError
from ._ranking import check_scores


class AUROCDifference(NamedTuple):
    """The AUROC of one detector less that of another, on the same images.

    Attributes
    ----------
    difference : float
    low, high : float
        The confidence interval.
    standard_error : float
        0 where both detectors order the images alike, and where both separate them fully: then the interval
        says nothing about new images.
    """

    difference: float
    low: float
    high: float
    standard_error: float


def auroc_difference(
    scores_id: ArrayLike,
    scores_ood: ArrayLike,
    other_id: ArrayLike,
    other_ood: ArrayLike,
    *,
    confidence: float = 0.95,
) -> AUROCDifference:
    """The difference of two AUROCs on the same images, with DeLong's interval.

    Both detectors have scored the same images, in the same order. What makes an image hard for both then
    cancels, and the interval is narrower than those of the two AUROCs alone let expect.

    Parameters
    ----------
    scores_id, scores_ood : array-like of shape (n,), (m,)
        Scores of one detector for the ID and for the OOD images; at least two of each.
    other_id, other_ood : array-like of shape (n,), (m,)
        Scores of the other detector for the same images.
    confidence : float, default=0.95
        Of the interval, in (0, 1).

    Returns
    -------
    AUROCDifference
        ``difference`` is the first detector's AUROC less the other's. ``low`` and ``high`` are normal limits;
        they hold for other images of the same kinds, not for other kinds.

    Raises
    ------
    InputError
        If the numbers of images differ, a side has fewer than two, a score is NaN, or `confidence` is not
        usable.

    References
    ----------
    DeLong, DeLong and Clarke-Pearson, "Comparing the Areas under Two or More Correlated Receiver Operating
    Characteristic Curves: A Nonparametric Approach", Biometrics 1988; by ranks as in Sun and Xu, "Fast
    Implementation of DeLong's Algorithm", IEEE Signal Processing Letters 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from skneg.metrics import auroc_difference
    >>> random = np.random.RandomState(0)
    >>> known, strange = random.randn(200) + 2, random.randn(300)
    >>> found = auroc_difference(known, strange, known + random.randn(200), strange + random.randn(300))
    >>> [round(float(value), 3) for value in found]
    [0.089, 0.062, 0.116, 0.014]
    """
    if not 0 < confidence < 1:
        raise InputError(f"confidence must lie in (0, 1), got {confidence!r}.")
    known, strange = _pair("id", scores_id, other_id), _pair("ood", scores_ood, other_ood)
    (known_first, strange_first), (known_other, strange_other) = map(_placements, known, strange)
    of_known, of_strange = known_first - known_other, strange_first - strange_other
    error = float(np.sqrt(of_known.var(ddof=1) / len(of_known) + of_strange.var(ddof=1) / len(of_strange)))
    difference, reach = float(of_known.mean()), float(norm.ppf((1 + confidence) / 2)) * error
    return AUROCDifference(difference, difference - reach, difference + reach, error)


def _pair(side: str, first: ArrayLike, other: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    scores, others = check_scores(first, f"scores_{side}"), check_scores(other, f"other_{side}")
    if len(scores) != len(others):
        raise InputError(
            f"scores_{side} and other_{side} must be of the same images, got {len(scores)} and {len(others)}."
        )
    if len(scores) < 2:
        raise InputError(f"scores_{side} holds one image; an interval needs at least two.")
    return scores, others


def _placements(known: np.ndarray, strange: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The share of OOD images below each ID image, and of ID images above each OOD image; ties count half."""
    ranks = rankdata(np.concatenate([known, strange]))
    below = (ranks[: len(known)] - rankdata(known)) / len(strange)
    above = 1 - (ranks[len(known) :] - rankdata(strange)) / len(known)
    return below, above
