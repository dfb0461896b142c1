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
    columns: Sequence[int] | None = None,
) -> tuple[Any, np.ndarray]:
    """The evidence of all images, and that (len(rows), k) of some by the images of other folds.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    y : ndarray of shape (n,), int
    rows, fold
        See `cross_fit`.
    columns : sequence of two int, optional
        How many columns each of two models has; by default there is one model.

    Returns
    -------
    ImageEvidence or PairedEvidence
    evidence : ndarray of shape (len(rows), k)
    """
    if columns is None:
        return ImageEvidence.of(X, y), cross_fit(ImageEvidence.of, X, y, rows, fold)
    if sum(columns) != X.shape[1]:
        raise InputError(f"two models have {columns[0]} and {columns[1]} columns, X has {X.shape[1]}.")
    halves = np.split(X, [columns[0]], axis=1)
    crossed = [cross_fit(ImageEvidence.of, half, y, rows, fold) for half in halves]
    first, second = (ImageEvidence.of(half, y) for half in halves)
    paired = PairedEvidence(first, second, _weigh(crossed, y[rows]))
    return paired, paired._joined(*crossed)


def apart(
    images: Any, X: np.ndarray, y: np.ndarray, rows: np.ndarray, fold: np.ndarray, group: np.ndarray
) -> np.ndarray:
    """`cross_fit_apart` of one model, or of two with the weights that they have in `images`."""
    if isinstance(images, ImageEvidence):
        return cross_fit_apart(ImageEvidence.of, X, y, rows, fold, group)
    one, two = (cross_fit_apart(ImageEvidence.of, half, y, rows, fold, group) for half in images._halves(X))
    return images._joined(one, two)


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
