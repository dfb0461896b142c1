"""What the images say to two models: the evidence of each, weighted by what both together know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from ..errors import InputError
from ._images import ImageEvidence, cross_fit, cross_fit_apart
from ._weights import FLOOR, PRIOR, information, odds


@dataclass(frozen=True, eq=False)
class PairedEvidence:
    """How much each class's images speak for it in the embeddings of two models, in nats.

    ``G_c = w_1 G_1c + w_2 G_2c``, each `ImageEvidence` of its own columns, so that neither the scale nor the
    number of the other's columns has a part in it.

    Attributes
    ----------
    first, second : ImageEvidence
        Of the first columns of embeddings, and of the others.
    weights : ndarray of shape (2,)
        (w_1, w_2), of sum 1, by cross-fitted images: the root of the odds of what each knows about their
        labels (`information`), over the standard deviation of its evidence for their own classes. Words and
        images are weighted in this way too. Nearly equal where there are few.
    """

    first: ImageEvidence
    second: ImageEvidence
    weights: np.ndarray

    def __post_init__(self) -> None:
        if self.weights.shape != (2,) or not np.array_equal(self.first.counts, self.second.counts):
            raise InputError("two evidences need two weights and the same images.")

    @property
    def centre(self) -> np.ndarray:
        """Those of both, (d1 + d2,)."""
        return np.concatenate([self.first.centre, self.second.centre])

    @property
    def means(self) -> np.ndarray:
        """Whitened class means (k, d1 + d2)."""
        return np.concatenate([self.first.means, self.second.means], axis=1)

    def __call__(self, Z: np.ndarray) -> np.ndarray:
        """Evidence (n, k), float64, of embeddings (n, d1 + d2)."""
        one, two = self._halves(Z)
        return self._joined(self.first(one), self.second(two))

    def add(self, Z: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> tuple[Self, np.ndarray]:
        """With more images in the class means; see `ImageEvidence.add`. Weights stay."""
        halves = zip((self.first, self.second), self._halves(Z), strict=True)
        (first, one), (second, two) = (own.add(half, y, groups) for own, half in halves)
        return replace(self, first=first, second=second), self._joined(one, two)

    def _halves(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        width = len(self.first.centre)
        return Z[:, :width], Z[:, width:]

    def _joined(self, one: np.ndarray, two: np.ndarray) -> np.ndarray:
        return self.weights[0] * one + self.weights[1] * two


def fit_evidence(
    X: np.ndarray,
    y: np.ndarray,
    rows: np.ndarray,
    fold: np.ndarray,
    play: Sequence[np.ndarray],
    columns: Sequence[int] | None = None,
) -> tuple[Any, np.ndarray, np.ndarray]:
    """The evidence of all images, and what images of other folds say of some.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    y : ndarray of shape (n,), int
    rows, fold
        See `cross_fit`.
    play : sequence of ndarray of shape (k,), int
        Groups of classes that play unknown together; see `cross_fit_apart`.
    columns : sequence of two int, optional
        How many columns each of two models has; by default there is one model.

    Returns
    -------
    ImageEvidence or PairedEvidence
    evidence : ndarray of shape (len(rows), k)
    apart : ndarray of shape (len(play), 2, len(rows), k)
    """
    columns = [X.shape[1]] if columns is None else columns
    if sum(columns) != X.shape[1]:
        raise InputError(f"two models have {columns[0]} and {columns[1]} columns, X has {X.shape[1]}.")
    parts, crossed, apart = [], [], []
    for Z in np.split(X, np.cumsum(columns)[:-1], axis=1):
        parts.append(ImageEvidence.of(Z, y))
        crossed.append(cross_fit(ImageEvidence.of, Z, y, rows, fold))
        of_play = [cross_fit_apart(ImageEvidence.of, Z, y, rows, fold, group) for group in play]
        apart.append(np.reshape(of_play, (len(play), 2, *crossed[-1].shape)))
    if len(parts) == 1:
        return parts[0], crossed[0], apart[0]
    first, second = parts
    paired = PairedEvidence(first, second, _weigh(crossed, y[rows]))
    return paired, paired._joined(*crossed), paired._joined(*apart)


def _weigh(crossed: list[np.ndarray], y: np.ndarray) -> np.ndarray:
    """Weights (2,) by what each evidence says of the images that all of it is known of."""
    known = np.isfinite(crossed[0]).all(axis=1)
    parts, labels = [evidence[known] for evidence in crossed], y[known]
    trust, shares, scales = len(labels) / (len(labels) + PRIOR), np.full(2, 0.5), np.ones(2)
    if len(labels) > 1:
        own = [part[np.arange(len(labels)), labels] for part in parts]
        scales = np.maximum(np.std(own, axis=1), FLOOR) ** trust
        if parts[0].shape[1] > 1:
            measured = np.array([information(part, labels) for part in parts])
            shares = trust * measured + (1 - trust) * shares
    weights = odds(shares) / scales
    return weights / weights.sum()
