"""Scores that training images have by what other images have taught a detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ._state import FittedState
from .evidence import N_FOLDS, folds, taught_to_all
from .vocabulary import Vocabulary

_MOST = 5000  # images that are kept to set a threshold


def cross_fit_detector(
    detector: Any,
    Z: Any,
    targets: np.ndarray,
    names: Sequence[str],
    seed: int,
    groups: np.ndarray | None,
    given: Mapping[str, Any] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a detector without each fold in turn, and score the images of the fold.

    5 folds, or 2 where prompts are trained, which takes long. A fold knows the classes that have images in
    the others, and those that have none at all where the method can know these. Where it needs images beside
    names, a fold that has all images of a class is not scored.

    Parameters
    ----------
    detector : detector
    Z : represented images
    targets : ndarray of shape (n,), int
        Which name each image has.
    names : sequence of str
    seed, groups
        See `skneg.evidence.folds`.
    given : mapping, optional
        Fitted attributes that no image teaches: the user's own text bank.

    Returns
    -------
    rows : ndarray of int
        The images that have others of their class beside them; where there are many, 5,000 drawn by `seed`.
    honest : ndarray of shape (len(rows), 2)
        The score of each, and that of its own class; see `own_scores`.
    """
    rng = np.random.RandomState(seed)
    trains_prompts = detector.training == "prompts"
    fold = folds(targets, 2 if trains_prompts else N_FOLDS, rng, groups)
    fold[taught_to_all(targets, groups)] = -1
    wanted = np.zeros(len(targets), dtype=bool)
    wanted[rng.permutation(len(targets))[:_MOST]] = True
    wanted[fold == -1] = False
    by_name = np.arange(len(names)) if detector.reads_names else np.array([], dtype=int)
    if trains_prompts:
        by_name = np.setdiff1d(by_name, targets)
    honest = np.full((len(targets), 2), np.nan)
    for h in np.unique(fold[wanted]):
        rest = np.flatnonzero(fold != h)
        present = np.unique(targets[rest])
        ours = np.flatnonzero((fold == h) & wanted & np.isin(targets, present))
        if len(ours) == 0 or (len(present) < 2 and not detector.one_class):
            continue
        if detector.needs_images and len(present) < len(names):
            continue
        kept = np.union1d(present, by_name)
        known = [names[c] for c in kept]
        numbers = np.searchsorted(kept, targets)
        learned = detector._learn(
            Z[rest], numbers[rest], known, seed, None if groups is None else groups[rest]
        )
        learned = {**learned, **(given or {})}
        state = FittedState(
            Vocabulary(np.array(known), tuple(known)),
            None,
            detector._space()[1],
            learned,
            detector._prepare(learned, known),
        )
        log_p = log_posterior(detector, state, Z[ours])[np.arange(len(ours)), numbers[ours]]
        honest[ours] = np.stack([detector._score(state, Z[ours]), log_p], axis=1)
    rows = np.flatnonzero(np.isfinite(honest[:, 0]))
    honest = honest[rows]
    if len(rows):
        honest[:, 1] = honest[:, 0] + honest[:, 0].std() * honest[:, 1]
    return rows, honest


def log_posterior(detector: Any, state: FittedState, Z: Any) -> np.ndarray:
    """Logarithm (n, k) of the closed-set posterior, -30 at the least."""
    return np.log(np.maximum(detector._posterior(state, Z), np.exp(-30.0)))
