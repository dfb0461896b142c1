"""How near the most similar training images of each class are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from .._utils import by_blocks
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
        Of unit norm, rounded to float16, class by class: of each class 4,096 / k at most, but one.
    counts : ndarray of shape (k,), int
        How many of each class.
    """

    embeddings: np.ndarray
    counts: np.ndarray

    def __post_init__(self) -> None:
        if self.embeddings.ndim != 2 or self.counts.sum() != len(self.embeddings):
            raise InputError("embeddings and counts do not fit together.")
        if self.counts.dtype.kind != "i" or (self.counts < 1).any():
            raise InputError("each class needs an image: counts must be 1 or more.")

    @classmethod
    def of(cls, X: np.ndarray, y: np.ndarray, rng: np.random.RandomState) -> Self:
        """Embeddings (n, d) of classes 0 to k - 1, each with an image; `rng` draws, where there are many."""
        order = rng.permutation(len(y))
        kept = order[_kept(y[order])]
        return cls(_rounded(X[kept]), np.bincount(y[kept]))

    def __call__(self, Z: Any) -> Any:
        """Mean cosines (n, k) of embeddings (n, d)."""
        return by_blocks(Z, self.width, lambda rows: self._means(rows @ self.embeddings.T))

    @property
    def width(self) -> int:
        """Columns that are compared at a time."""
        return 3 * len(self.embeddings) + N_NEAREST * len(self.counts)

    def add(self, Z: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> tuple[Self, np.ndarray]:
        """With more images, as far as there is room; see `ImageEvidence.add`. Those that it has stay."""
        numbers = np.arange(len(y)) if groups is None else np.unique(groups, return_inverse=True)[1]
        classes = np.concatenate([np.repeat(np.arange(len(self.counts)), self.counts), y])
        units = np.concatenate([np.full(len(self.embeddings), -1), numbers])
        kept = _kept(classes, self.counts.max())
        embeddings = _rounded(np.concatenate([self.embeddings, Z])[kept])
        more = type(self)(embeddings, np.bincount(classes[kept]))

        def without_own(rows: np.ndarray) -> np.ndarray:
            is_own = (y[rows, None] == classes[kept]) & (numbers[rows, None] == units[kept])
            return more._means(np.where(is_own, np.float32(_ABSENT), Z[rows] @ embeddings.T))

        return more, by_blocks(np.arange(len(y)), more.width, without_own)

    def _means(self, cosines: Any) -> Any:
        """From cosines (n, m) to means (n, k); NaN where all of a class are absent."""
        absent = np.full((len(cosines), 1), _ABSENT, dtype=np.float32)
        cosines = np.concatenate([cosines, absent], axis=1)
        ends, means, order = np.cumsum(self.counts), [], []
        size = np.ceil(np.log2(self.counts)).astype(int)  # classes of about a size at a time pad little
        for own in (np.flatnonzero(size == number) for number in np.unique(size)):
            place = np.arange(max(self.counts[own].max(), N_NEAREST))
            counts = self.counts[own, None]
            columns = np.where(place < counts, ends[own, None] - counts + place, ends[-1])
            first = len(place) - N_NEAREST
            largest = np.partition(cosines[:, columns], first, axis=2)[:, :, first:]
            is_there = (largest > _ABSENT / 2).astype(np.float32)
            with np.errstate(invalid="ignore"):
                means.append((largest * is_there).sum(axis=2) / is_there.sum(axis=2))
            order.append(own)
        return np.concatenate(means, axis=1)[:, np.argsort(np.concatenate(order))]


def _rounded(X: np.ndarray) -> np.ndarray:
    """In float32 that float16 holds exactly: half the bytes of a file."""
    return X.astype(np.float16).astype(np.float32)


def _kept(y: np.ndarray, at_least: int = 1) -> np.ndarray:
    """Rows by class: the first of each, no more than there is room for."""
    order = np.argsort(y, kind="stable")
    place = np.arange(len(y)) - np.searchsorted(y[order], y[order])
    return order[place < max(at_least, _MOST // (y.max() + 1))]
