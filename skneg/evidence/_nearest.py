"""How near the most similar training images of each class are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ..errors import InputError

N_NEAREST = 3  # more than one, so that a single strange training image makes nothing known
_MOST = 2**12  # images kept in all, but one of each class at the least: new ones are compared with each
_ABSENT = -9.0  # in the place of a cosine


@dataclass(frozen=True, eq=False)
class NearestImages:
    """The mean of the `N_NEAREST` largest cosines of an image to training images of a class.

    A class of fewer images has the mean of all. With two models, a cosine is the mean of both. Unlike
    `ImageEvidence` this knows nothing of covariances, and a class may have more than one centre.

    Attributes
    ----------
    embeddings : ndarray of shape (m, d), float32
        Of unit norm, rounded to float16, class by class: all images, or 4,096 / k of each class at most.
    counts : ndarray of shape (k,), int
        How many of each class.
    """

    embeddings: np.ndarray
    counts: np.ndarray

    def __post_init__(self) -> None:
        if self.embeddings.ndim != 2 or self.counts.sum() != len(self.embeddings):
            raise InputError("embeddings and counts do not fit together.")
        if (self.counts < 1).any():
            raise InputError("each class needs an image: counts must be 1 or more.")

    @classmethod
    def of(cls, X: np.ndarray, y: np.ndarray, rng: np.random.RandomState) -> Self:
        """Embeddings (n, d) of classes 0 to k - 1, each with an image; `rng` draws, where there are many."""
        order = rng.permutation(len(y))
        kept = order[_kept(y[order])]
        return cls(_rounded(X[kept]), np.bincount(y[kept]))

    def __call__(self, Z: Any) -> Any:
        """Mean cosines (n, k) of embeddings (n, d)."""
        return self._means(Z @ self.embeddings.T)

    def add(self, Z: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> tuple[Self, np.ndarray]:
        """With more images, as far as there is room; see `ImageEvidence.add`."""
        numbers = np.arange(len(y)) if groups is None else np.unique(groups, return_inverse=True)[1]
        classes = np.concatenate([np.repeat(np.arange(len(self.counts)), self.counts), y])
        units = np.concatenate([np.full(len(self.embeddings), -1), numbers])
        kept = _kept(classes)
        embeddings = _rounded(np.concatenate([self.embeddings, Z])[kept])
        more = type(self)(embeddings, np.bincount(classes[kept]))
        is_own = (y[:, None] == classes[kept]) & (numbers[:, None] == units[kept])
        return more, more._means(np.where(is_own, np.float32(_ABSENT), Z @ embeddings.T))

    def _means(self, cosines: Any) -> Any:
        """From cosines (n, m) to means (n, k); NaN where all of a class are absent."""
        place = np.arange(max(self.counts.max(), N_NEAREST))
        if self.counts.min() == len(place):
            of_classes = cosines.reshape(len(cosines), len(self.counts), len(place))
        else:
            ends = np.cumsum(self.counts)[:, None]
            columns = np.where(place < self.counts[:, None], ends - self.counts[:, None] + place, ends[-1])
            absent = np.full((len(cosines), 1), _ABSENT, dtype=np.float32)
            of_classes = np.concatenate([cosines, absent], axis=1)[:, columns]
        first = len(place) - N_NEAREST
        largest = np.partition(of_classes, first, axis=2)[:, :, first:]
        is_there = (largest > _ABSENT / 2).astype(np.float32)
        with np.errstate(invalid="ignore"):
            return (largest * is_there).sum(axis=2) / is_there.sum(axis=2)


def _rounded(X: np.ndarray) -> np.ndarray:
    """In float32 that float16 holds exactly: half the bytes of a file."""
    return X.astype(np.float16).astype(np.float32)


def _kept(y: np.ndarray) -> np.ndarray:
    """Rows by class: the first of each, no more than there is room for."""
    order = np.argsort(y, kind="stable")
    place = np.arange(len(y)) - np.searchsorted(y[order], y[order])
    return order[place < max(1, _MOST // (y.max() + 1))]
