"""What the images of each class say of a new image, and of each training image without itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from scipy.sparse import csr_array

from ..errors import InputError

Learn = Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray], np.ndarray]]

SPHERE = 0.8  # share of a sphere in the covariance
N_FOLDS = 5
_NU = 1.0  # squared distance at which evidence stops growing: keeps duplicates of a mean finite


@dataclass(frozen=True, eq=False)
class ImageEvidence:
    """How much each class's images speak for it, in nats.

    ``G_c(z) = 1/2 log(1 + m(z, b)) - log(1 + m_c(z) / s_c) - 1/2 log s_c`` with m_c the squared Mahalanobis
    distance to the mean of class c under one covariance of all classes, ``s_c = 1 + 1 / n_c`` for the error
    of a mean of n_c images, and b the mean of the class means. The two terms with s_c are the log density of
    a Student-t distribution (of one degree of freedom, along the distance) with variance s_c; half a
    background keeps far images from being compared at all.

    The covariance is that within the classes, with ``n - k`` degrees of freedom, joined by half of that
    between the class means as one more image, and shrunk by `SPHERE` towards a sphere.

    Attributes
    ----------
    centre : ndarray of shape (d,), float32
        b.
    whitener : ndarray of shape (d, d), float32
        From centred embeddings to a space in which the covariance is the identity.
    means : ndarray of shape (k, d), float32
        Whitened class means.
    counts : ndarray of shape (k,), int
        n_c.
    """

    centre: np.ndarray
    whitener: np.ndarray
    means: np.ndarray
    counts: np.ndarray

    def __post_init__(self) -> None:
        d, k = len(self.centre), len(self.means)
        if self.whitener.shape != (d, d) or self.means.shape != (k, d) or self.counts.shape != (k,):
            raise InputError("centre, whitener, means and counts do not fit together.")
        if (self.counts < 1).any():
            raise InputError("each class needs an image: counts must be 1 or more.")

    @classmethod
    def of(cls, X: np.ndarray, y: np.ndarray) -> Self:
        """Statistics of embeddings (n, d) with class numbers 0 to k - 1, each with an image."""
        X = np.asarray(X, dtype=np.float64)
        counts = np.bincount(y)
        n, d, k = len(X), X.shape[1], len(counts)
        means = csr_array((1 / counts[y], (y, np.arange(n))), shape=(k, n)) @ X
        centre = means.mean(axis=0)
        within, between = X - means[y], means - centre
        scatter = within.T @ within
        if k > 1:
            scatter += between.T @ between / (k - 1) / 2
        covariance = scatter / max(n - k + (k > 1), 1)
        variance = np.trace(covariance) / d
        if variance * d < 1e-10:  # all images of a class are one, up to rounding
            return cls(*_float32(centre, np.eye(d), means - centre), counts)
        values, vectors = np.linalg.eigh(covariance)
        values = (1 - SPHERE) * np.maximum(values, 0) + SPHERE * variance
        whitener = vectors / np.sqrt(values)
        return cls(*_float32(centre, whitener, (means - centre) @ whitener), counts)

    def __call__(self, Z: np.ndarray) -> np.ndarray:
        """Evidence (n, k), float64, of embeddings (n, d)."""
        # In float64: expanded squares lose digits, and the last ones depend on the size of the batch.
        means, U = self.means.astype(np.float64), self._whiten(Z)
        norms, of_means = (np.einsum("nd,nd->n", part, part) for part in (U, means))
        squares = norms[:, None] - 2 * U @ means.T + of_means
        spread = 1 + 1 / self.counts
        own = np.log(_NU + np.maximum(squares, 0) / spread) + np.log(spread) / 2
        return np.log(_NU + norms)[:, None] / 2 - own

    def add(self, Z: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> tuple[Self, np.ndarray]:
        """With more images in the class means; centre and covariance stay.

        Parameters
        ----------
        Z : ndarray of shape (n, d)
        y : ndarray of shape (n,), int
            Their classes; numbers from k on are new classes.
        groups : ndarray of shape (n,), int, optional
            See `folds`.

        Returns
        -------
        ImageEvidence
        evidence : ndarray of shape (n, number of classes)
            Of these images, that for their own class without themselves (without their group); NaN where
            nothing is left.
        """
        U = self._whiten(Z)
        known, k = len(self.counts), max(len(self.counts), y.max() + 1)
        counts = np.bincount(y, minlength=k)
        counts[:known] += self.counts
        sums = np.zeros((k, U.shape[1]))
        sums[:known] = self.means * self.counts[:, None].astype(np.float64)
        np.add.at(sums, y, U)
        more = replace(self, means=(sums / counts[:, None]).astype(np.float32), counts=counts)
        evidence = more(Z)
        of = np.stack([y, np.arange(len(y)) if groups is None else groups])
        units = np.unique(of, axis=1, return_inverse=True)[1].ravel()
        of_unit = np.zeros((units.max() + 1, U.shape[1]))
        np.add.at(of_unit, units, U)
        left = counts[y] - np.bincount(units)[units]
        with np.errstate(divide="ignore", invalid="ignore"):
            gaps = U - (sums[y] - of_unit[units]) / left[:, None]
            spread = 1 + 1 / left
            own = np.log(_NU + np.square(gaps).sum(axis=1) / spread) + np.log(spread) / 2
        background = np.log(_NU + np.square(U).sum(axis=1)) / 2
        evidence[np.arange(len(y)), y] = np.where(left > 0, background - own, np.nan)
        return more, evidence

    def _whiten(self, Z: np.ndarray) -> np.ndarray:
        return np.subtract(Z, self.centre, dtype=np.float64) @ self.whitener.astype(np.float64)


def _float32(*arrays: np.ndarray) -> tuple[Any, Any, Any]:
    one, two, three = (array.astype(np.float32) for array in arrays)
    return one, two, three


def cross_fit(learn: Learn, X: np.ndarray, y: np.ndarray, rows: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Evidence (len(rows), k) of some training images, each from the images of other folds.

    Parameters
    ----------
    learn : callable
        From embeddings and class numbers to what gives evidence of embeddings: `ImageEvidence.of`.
    X : ndarray of shape (n, d)
    y : ndarray of shape (n,), int
    rows : ndarray of int
    fold : ndarray of shape (n,), int
        Of `folds`; images of fold -1 teach all others, and their rows are NaN.

    Returns
    -------
    ndarray of shape (len(rows), k)
        NaN for a class that has no image in other folds.
    """
    evidence = np.full((len(rows), y.max() + 1), np.nan)
    for h in np.setdiff1d(fold[rows], [-1]):
        _teach(learn, X, y, fold != h, [(evidence, rows, fold[rows] == h)])
    return evidence


def cross_fit_apart(
    learn: Learn, X: np.ndarray, y: np.ndarray, rows: np.ndarray, fold: np.ndarray, group: np.ndarray
) -> np.ndarray:
    """Evidence of some training images while some of the classes play unknown.

    Parameters
    ----------
    learn, X, y, rows, fold
        See `cross_fit`.
    group : ndarray of shape (k,), int
        Classes of one number play unknown together, and fold h has taught nothing while those of group h do.

    Returns
    -------
    ndarray of shape (2, len(rows), k)
        Of known images, each while the group with the number of its fold plays unknown, and of images of
        the classes that do. NaN for these classes, and in rows that are on neither side.
    """
    evidence = np.full((2, len(rows), y.max() + 1), np.nan)
    for h in np.unique(group):
        is_unknown = group[y[rows]] == h
        sides = ((fold[rows] == h) & ~is_unknown, is_unknown)
        _teach(
            learn, X, y, (fold != h) & (group[y] != h),
            [(part, rows, side) for part, side in zip(evidence, sides, strict=True)],
        )  # fmt: skip
    return evidence


def _teach(learn: Learn, X: np.ndarray, y: np.ndarray, rest: np.ndarray, asked: list[Any]) -> None:
    """Learn from the images `rest`, and write evidence where it is asked for."""
    present, numbers = np.unique(y[rest], return_inverse=True)
    if len(present):
        learned = learn(X[rest], numbers)
        for evidence, rows, ours in asked:
            if ours.any():
                evidence[np.ix_(ours, present)] = learned(X[rows[ours]])


def folds_of_classes(y: np.ndarray, rng: np.random.RandomState, groups: np.ndarray | None) -> np.ndarray:
    """`folds` for `cross_fit`: the image of a class of one image (one group) teaches all, in fold -1.

    Where all classes are such, the images are shared out like others.
    """
    fold = folds(y, N_FOLDS, rng, groups)
    is_alone = taught_to_all(y, groups)
    if not is_alone.all():
        fold[is_alone] = -1
    return fold


def folds(
    y: np.ndarray, n_folds: int, rng: np.random.RandomState, groups: np.ndarray | None = None
) -> np.ndarray:
    """Which fold each image is in.

    Parameters
    ----------
    y : ndarray of shape (n,), int
    n_folds : int
    rng : RandomState
    groups : ndarray of shape (n,), int, optional
        Images with one number, such as copies, crops or frames of one film, are in one fold.

    Returns
    -------
    ndarray of shape (n,), int
        From 0 to n_folds - 1; the images (the groups) of each class are shared out as evenly as can be.
    """
    if groups is not None:
        _, first, unit = np.unique(groups, return_index=True, return_inverse=True)
        order, fold = _by_class(y[first], rng), np.empty(len(first), dtype=int)
        fold[order] = (
            np.arange(len(first)) % n_folds
        )  # by turns: a few groups of any classes are never together
        return fold[unit]
    order, fold = _by_class(y, rng), np.empty(len(y), dtype=int)
    place = np.arange(len(y)) - np.searchsorted(y[order], y[order])
    start = rng.permutation(y.max() + 1)  # else the single images of many classes may all be in one fold
    fold[order] = (place + start[y[order]]) % n_folds
    return fold


def _by_class(y: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Rows by class, those of a class in random order."""
    order = rng.permutation(len(y))
    return order[np.argsort(y[order], kind="stable")]


def groups_of_classes(y: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """How many groups (k,) of images each class has; without groups each image is its own."""
    if groups is None:
        return np.bincount(y)
    return np.bincount(np.unique(np.stack([y, groups]), axis=1)[0])


def taught_to_all(y: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Which images (n,) teach all folds: those of classes of one group, unless others of it are in a fold."""
    alone = groups_of_classes(y, groups)[y] == 1
    return alone if groups is None else alone & ~np.isin(groups, groups[~alone])
