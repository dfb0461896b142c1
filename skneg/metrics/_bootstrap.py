"""Bootstrap draws of the ranking metrics, fast enough for thousands of draws of thousands of scores.

scikit-learn's functions sort the scores anew for every draw. A draw only changes how often each score
counts, so here they are sorted once, and each metric is computed from counts in that order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np


class Counts(NamedTuple):
    """How often each distinct score occurs, largest first.

    Attributes
    ----------
    known, strange : ndarray of int, of one shape (n_distinct,)
        Of ID and of OOD images; may be 0.
    """

    known: np.ndarray
    strange: np.ndarray


def auroc(counts: Counts) -> float:
    known, strange = counts
    above = np.cumsum(known) - known / 2  # ties count one half
    return float(above @ strange / (known.sum() * strange.sum()))


def fpr95(counts: Counts) -> float:
    accepted, accepted_ood = np.cumsum(counts.known), np.cumsum(counts.strange)
    at = np.argmax(accepted / accepted[-1] >= 0.95)
    return float(accepted_ood[at] / accepted_ood[-1])


def aupr_in(counts: Counts) -> float:
    found = np.cumsum(counts.known)
    # Above the largest score drawn there is nothing; its precision weighs 0.
    precision = found / np.maximum(found + np.cumsum(counts.strange), 1)
    return float(counts.known @ precision / found[-1])


def aupr_out(counts: Counts) -> float:
    return aupr_in(Counts(counts.strange[::-1], counts.known[::-1]))


def detection_error(counts: Counts) -> float:
    accepted, accepted_ood = np.cumsum(counts.known), np.cumsum(counts.strange)
    return float(np.min(1 - accepted / accepted[-1] + accepted_ood / accepted_ood[-1]) / 2)


METRICS: dict[str, Callable[[Counts], float]] = {
    "auroc": auroc,
    "fpr95": fpr95,
    "aupr_in": aupr_in,
    "aupr_out": aupr_out,
    "detection_error": detection_error,
}


def bootstrap(
    known: np.ndarray,
    strange: Mapping[str, np.ndarray],
    metrics: Sequence[str],
    n_draws: int,
    random_state: np.random.RandomState,
) -> np.ndarray:
    """Metrics of resampled scores.

    Each side is resampled on its own. All OOD sets of a draw meet the same ID draw, as they do in the
    data, so that means over the sets vary as they should.

    Parameters
    ----------
    known : ndarray of shape (n,)
        ID scores.
    strange : mapping of str to ndarray
        Scores of each OOD set.
    metrics : sequence of str
        Keys of `METRICS`.
    n_draws : int
    random_state : RandomState

    Returns
    -------
    ndarray of shape (n_draws, n_sets, n_metrics)
    """
    places = [_places(known, scores) for scores in strange.values()]
    draws = np.empty((n_draws, len(places), len(metrics)))
    for draw in draws:
        known_rows = random_state.randint(len(known), size=len(known))
        for row, (known_at, strange_at, n_distinct) in zip(draw, places, strict=True):
            strange_rows = random_state.randint(len(strange_at), size=len(strange_at))
            counts = Counts(
                np.bincount(known_at[known_rows], minlength=n_distinct),
                np.bincount(strange_at[strange_rows], minlength=n_distinct),
            )
            row[:] = [METRICS[metric](counts) for metric in metrics]
    return draws


def _places(known: np.ndarray, strange: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """The place of each score among the distinct ones, largest first; and their number."""
    distinct, ascending = np.unique(np.concatenate([known, strange]), return_inverse=True)
    places = len(distinct) - 1 - ascending
    return places[: len(known)], places[len(known) :], len(distinct)
