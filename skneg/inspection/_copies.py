"""Images that are nearly one: for each its nearest of the same class, and of the others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.utils import gen_batches

# A pair is nearly one image where its distance (1 - cosine) is at most this share of the median distance of
# an image to its nearest other. Of 336 photographs of 12 classes, copies as JPEG of quality 75 lie at .03
# (95 % up to .09), and other photographs from .36 on, but for one pair (benchmarks/label_errors.py --copies).
_SHARE = 1 / 8
_SAME = 1e-5  # distance up to which two embeddings are of one image, rounded differently
_CELLS = 2**23  # cosines at a time: 32 MB


class Nearest(NamedTuple):
    """The nearest other image of each: columns are those of the same label, and those of any other.

    Attributes
    ----------
    row : ndarray of shape (n, 2), int
        -1 where there is none.
    cosine : ndarray of shape (n, 2)
        -inf where there is none.
    level : float
        Cosine from which on two images are nearly one.
    """

    row: np.ndarray
    cosine: np.ndarray
    level: float

    @property
    def is_copy(self) -> np.ndarray:
        """Which of them are nearly the image itself, (n, 2) of bool."""
        return self.cosine >= self.level


def nearest_others(Z: np.ndarray, y: np.ndarray, level: float | None = None) -> Nearest:
    """For each image the nearest with its label, and the nearest with another, block by block.

    Parameters
    ----------
    Z : ndarray of shape (n, d), float32
        Unit-norm embeddings. Time grows with n squared, memory does not.
    y : ndarray of shape (n,)
    level : float, optional
        From the distances themselves by default; see `_SHARE`.
    """
    n = len(Z)
    row, cosine = np.full((n, 2), -1), np.full((n, 2), -np.inf)
    for part in gen_batches(n, max(1, _CELLS // n)):
        products = Z[part] @ Z.T
        own = np.arange(n)[part]
        products[np.arange(len(own)), own] = -np.inf
        is_other = y[part, None] != y
        for column, left_out in enumerate((is_other, ~is_other)):
            of_kind = np.where(left_out, -np.inf, products)
            row[part, column] = of_kind.argmax(axis=1)
            cosine[part, column] = of_kind.max(axis=1)
    row[np.isinf(cosine)] = -1
    if level is None:
        distance = 1 - cosine.max(axis=1)
        level = 1 - max(_SHARE * float(np.median(distance)) if n > 1 else 0.0, _SAME)
    return Nearest(row, cosine, level)
