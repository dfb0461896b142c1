"""The split-conformal threshold.

References
----------
.. [1] Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005.
.. [2] Bates et al., "Testing for Outliers with Conformal p-values", Annals of Statistics 2023.
"""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import train_test_split

from .errors import InputError


def conformal_offset(scores: np.ndarray, contamination: float) -> float:
    """Threshold below which at most a share `contamination` of new ID images falls, on average ([1]_, [2]_).

    Parameters
    ----------
    scores : array-like of shape (n,)
        Scores of ID images that had no part in training.
    contamination : float
        The share alpha of ID images that may be rejected, in (0, 1).

    Returns
    -------
    float
        The floor(alpha (n + 1))-th smallest score: a new image is rejected where its score is smaller.

    Raises
    ------
    InputError
        If n < 1 / alpha - 1: so few images cannot vouch for so small a share.
    """
    values = np.sort(np.asarray(scores, dtype=np.float64))
    # 0.05 * 20 must be 1, and is 1.0000000000000002 or 0.9999... in floating point.
    rank = int(np.floor(contamination * (len(values) + 1) + 1e-9))
    if rank < 1:
        raise InputError(
            f"{len(values)} calibration images cannot vouch for contamination={contamination}: at least "
            f"{smallest_calibration_set(contamination)} are needed."
        )
    return float(values[rank - 1])


def smallest_calibration_set(contamination: float) -> int:
    """The fewest images with which `conformal_offset` can work."""
    return int(np.ceil(1 / contamination - 1 - 1e-9))


def split_holdout(
    targets: np.ndarray, fraction: float, random_state: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and rows to calibrate on; every class keeps at least one row to train on.

    Parameters
    ----------
    targets : ndarray of shape (n,), int
    fraction : float
        Share of the rows to hold out, in (0, 1).
    random_state : RandomState

    Returns
    -------
    train, held_out : ndarray of int, sorted
    """
    rows = random_state.permutation(len(targets))
    # The first row of each class, in random order, stays in training.
    _, first = np.unique(targets[rows], return_index=True)
    free = np.delete(rows, first)
    n_held_out = min(len(free), round(fraction * len(targets)))
    if n_held_out == 0:
        return np.arange(len(targets)), np.array([], dtype=int)
    if n_held_out == len(free):
        held_out = free
    else:
        _, held_out = train_test_split(free, test_size=n_held_out, random_state=random_state)
    return np.setdiff1d(np.arange(len(targets)), held_out), np.sort(held_out)


def p_values(scores: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Conformal p-values of scores against those of calibration images ([2]_).

    Parameters
    ----------
    scores : ndarray of shape (n,)
    reference : ndarray of shape (m,), sorted
        Scores of the calibration images.

    Returns
    -------
    ndarray of shape (n,)
        (1 + the number of calibration scores that are not larger) / (m + 1): for a new ID image at most
        alpha with a chance of at most alpha.
    """
    return (1 + np.searchsorted(reference, scores, side="right")) / (len(reference) + 1)


def relative_ranks(scores: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The place of scores among calibration scores, in (0, 1), with no ranking lost.

    Linear between calibration scores; outside them with r the rank of the nearest one, e the distance to
    it and w its distance to their median, r / (1 + e / w) below and the mirror image of it above.

    Parameters
    ----------
    scores : ndarray of shape (n,)
    reference : ndarray of shape (m,), sorted
        Scores of the calibration images.

    Returns
    -------
    ndarray of shape (n,)
    """
    distinct, first, counts = np.unique(reference, return_index=True, return_counts=True)
    places = (first + (counts + 1) / 2) / (len(reference) + 1)
    middle = float(np.median(reference))
    inside = np.interp(scores, distinct, places)
    below = np.maximum(distinct[0] - scores, 0) / ((middle - distinct[0]) or 1.0)
    above = np.maximum(scores - distinct[-1], 0) / ((distinct[-1] - middle) or 1.0)
    return np.where(above > 0, 1 - (1 - places[-1]) / (1 + above), inside / (1 + below))
