"""Words and images in one score: what the images of each class say of a new one, and how far to trust it.

All evidence is in nats. With ``t_c`` the text logit of class c (its cosine over the model's temperature) and
``G_c`` the image evidence of `ImageEvidence`, the closed-set posterior is ``softmax_c(a t_c + l G_c)``, and
the score is a weighted sum of three parts, each centred and scaled by training images:

* text: what the detector scores by without images, such as the log odds of the names against words;
* images: ``sum_c p_c G_c``, with p the posterior;
* clarity: the log odds of the likeliest class of the posterior.

Every number comes from training images whose image evidence was computed without them (`cross_fit`), and
from their labels alone: no OOD image is needed.

References
----------
.. [1] Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial
   Attacks", NeurIPS 2018 (Mahalanobis distance under one covariance).
.. [2] Ren et al., "A Simple Fix to Mahalanobis Distance for Improving Near-OOD Detection", 2021 (distance to
   a background in comparison).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.sparse import csr_array
from scipy.special import log_softmax, logsumexp

SPHERE = 0.8  # share of a sphere in the covariance
N_FOLDS = 5
TextOf = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

# Where a detector's `_learn` leaves the rows and the `CrossFitted` that can set a threshold.
CROSS_FITTED = "cross_fitted_"

PARTS = ("text", "images", "clarity")
_NU = 1.0  # squared distance at which evidence stops growing: keeps duplicates of a mean finite
_PRIOR = 5  # images that the values below count for, beside those that are cross-fitted
_SCALES = (2.0, 0.35, 2.0)  # nats; usual scales of the parts
_FLOORS = (1e-3, 0.05, 1e-3)  # nats; the smallest that are measured
_CELLS = 2**21  # cross-fitted evidence, images x classes, kept at most for more than _ROWS images
_ROWS = 1000


@dataclass(frozen=True, eq=False)
class ImageEvidence:
    """How much each class's images speak for it, in nats.

    ``G_c(z) = 1/2 log(1 + m(z, b)) - log(1 + m_c(z))`` with ``m_c`` the squared Mahalanobis distance to the
    mean of class c under one covariance of all classes, divided by ``1 + 1 / n_c`` for the error of a mean of
    n_c images, and b the mean of the class means. The logarithm is that of a Student-t likelihood; half a
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
        if variance <= 0:  # all images are one
            return cls(*_float32(centre, np.eye(d), means - centre), counts)
        values, vectors = np.linalg.eigh(covariance)
        values = (1 - SPHERE) * np.maximum(values, 0) + SPHERE * variance
        whitener = vectors / np.sqrt(values)
        return cls(*_float32(centre, whitener, (means - centre) @ whitener), counts)

    def __call__(self, Z: np.ndarray) -> np.ndarray:
        """Evidence (n, k), float64, of embeddings (n, d)."""
        U = (np.asarray(Z, dtype=np.float32) - self.centre) @ self.whitener
        norms = np.einsum("nd,nd->n", U, U, dtype=np.float64)
        of_means = np.einsum("kd,kd->k", self.means, self.means, dtype=np.float64)
        squares = norms[:, None] - 2 * (U @ self.means.T).astype(np.float64) + of_means
        squares = np.maximum(squares, 0) / (1 + 1 / self.counts)
        return np.log(_NU + norms)[:, None] / 2 - np.log(_NU + squares)


def _float32(*arrays: np.ndarray) -> tuple[Any, Any, Any]:
    one, two, three = (array.astype(np.float32) for array in arrays)
    return one, two, three


def cross_fit(
    X: np.ndarray,
    y: np.ndarray,
    rows: np.ndarray,
    rng: np.random.RandomState,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """Evidence (len(rows), k) of some training images, each from the images of other folds.

    NaN where a class has no image in the other folds: among others, the own class of an image that is its
    only one. Images of a group are in one fold.
    """
    counts = np.bincount(y)
    n_folds = min(N_FOLDS, counts.max()) if counts.max() > 1 else N_FOLDS
    fold = _folds(y, n_folds, rng) if groups is None else _folds_of_groups(groups, rng)
    evidence = np.full((len(rows), len(counts)), np.nan)
    for h in np.unique(fold[rows]):
        rest, ours = fold != h, fold[rows] == h
        present, numbers = np.unique(y[rest], return_inverse=True)
        if len(present):
            evidence[np.ix_(ours, present)] = ImageEvidence.of(X[rest], numbers)(X[rows[ours]])
    return evidence


def two_halves(y: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Which half, 0 or 1, each image is in; the images of each class are shared out evenly."""
    return _folds(y, 2, rng)


def _folds(y: np.ndarray, n_folds: int, rng: np.random.RandomState) -> np.ndarray:
    """Folds that share out the images of each class as evenly as can be."""
    order = rng.permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]
    place = np.arange(len(y)) - np.searchsorted(y[order], y[order])
    fold = np.empty(len(y), dtype=int)
    start = rng.permutation(y.max() + 1)  # else the single images of many classes may all be in one fold
    fold[order] = (place + start[y[order]]) % n_folds
    return fold


def _folds_of_groups(groups: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Folds that keep the images of a group together."""
    _, numbers = np.unique(groups, return_inverse=True)
    n_groups = numbers.max() + 1
    return (rng.permutation(n_groups) % N_FOLDS)[numbers]


def information(logits: np.ndarray, y: np.ndarray) -> float:
    """Share of the labels' entropy that logits explain at their best temperature: 0 nothing, 1 all.

    Parameters
    ----------
    logits : ndarray of shape (n, k)
    y : ndarray of shape (n,), int

    Returns
    -------
    float
        ``1 - loss / H(y)``, between 0 and .99, with the mean cross-entropy as loss.
    """
    shares = np.bincount(y) / len(y)
    entropy = -np.sum(shares[shares > 0] * np.log(shares[shares > 0]))
    if entropy == 0:
        return 0.0
    rows = np.arange(len(y))

    def loss(u: float) -> float:
        return -log_softmax(np.exp(u) * logits, axis=1)[rows, y].mean()

    best = minimize_scalar(loss, bounds=(-6, 4), method="bounded").fun
    return float(np.clip(1 - best / entropy, 0, 0.99))


def posterior_weights(text: np.ndarray, images: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Weights (a, l) of ``softmax(a text + l images)`` that make the labels most likely.

    Under a log-normal prior of precision 3 at a = 1, l = 8.
    """
    rows, prior, precision = np.arange(len(y)), np.log([1.0, 8.0]), 3.0

    def loss(u: np.ndarray) -> tuple[float, np.ndarray]:
        a, l = np.exp(prior + u)  # noqa: E741
        log_p = log_softmax(a * text + l * images, axis=1)
        p = np.exp(log_p)
        slopes = [w * ((p * part).sum() - part[rows, y].sum()) for w, part in ((a, text), (l, images))]
        return -log_p[rows, y].sum() + precision / 2 * (u @ u), np.array(slopes) + precision * u

    u = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-4, 1.5), (-4, 3)]).x
    return tuple(np.exp(prior + u))


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """Training images with the evidence (n, k) that images of other folds give of each.

    A detector scores them as if it had not seen them. `shift` (n,) is what their score gains by text that
    was learned without them.
    """

    embeddings: np.ndarray
    evidence: np.ndarray
    shift: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the embeddings."""
        return self.embeddings.shape

    def __len__(self) -> int:
        return len(self.embeddings)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The embeddings."""
        return np.asarray(self.embeddings, dtype=dtype)

    def __getitem__(self, rows: Any) -> CrossFitted:
        """Some of the images; `rows` is what selects rows of an array."""
        return CrossFitted(self.embeddings[rows], self.evidence[rows], self.shift[rows])


@dataclass(frozen=True, eq=False)
class JointScore:
    """The joint score, fitted: statistics of the images, and what each part counts for.

    Attributes
    ----------
    images : ImageEvidence
        Of the classes that have images.
    names : list of str
        Their names, in the order of `images`.
    posterior : ndarray of shape (2,)
        (a, l).
    weights, centres, scales : ndarray of shape (3,)
        Of the parts, in the order of `PARTS`.
    neutral : float
        Image evidence, in nats, of a class without images.
    """

    images: ImageEvidence
    names: list[str]
    posterior: np.ndarray
    weights: np.ndarray
    centres: np.ndarray
    scales: np.ndarray
    neutral: float

    @classmethod
    def fit(
        cls,
        X: np.ndarray,
        y: np.ndarray,
        names: Sequence[str],
        rng: np.random.RandomState,
        text_of: TextOf | None = None,
        groups: np.ndarray | None = None,
    ) -> tuple[Self, np.ndarray, CrossFitted]:
        """Fit on embeddings (n, d) of classes 0 to k - 1, each with an image.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        y : ndarray of shape (n,), int
        names : sequence of str
        rng : RandomState
            Decides the folds.
        text_of : callable, optional
            From row numbers to the text logits (m, k) of these images, and what the detector scores them by
            without images, (m,), both in nats. None leaves text out.
        groups : ndarray of shape (n,), optional
            Images of a group, such as frames of one film, are in one fold.

        Returns
        -------
        JointScore
        rows : ndarray of int
            The images that can set a threshold: those with others of their class beside them. Where no class
            has two images, all of them, with `neutral` evidence. With very many images and classes, a part
            of them, drawn by `rng`.
        cross_fitted : CrossFitted
            These images.
        """
        n, k = len(y), len(names)
        rows = np.arange(n)
        if n * k > _CELLS:
            rows = np.sort(rng.permutation(n)[: max(_CELLS // k, _ROWS)])
        evidence = cross_fit(X, y, rows, rng, groups)
        logits, text = np.zeros((len(rows), k)), np.zeros(len(rows))
        if text_of is not None:
            logits, text = text_of(rows)
        n_text, centre_of_text, scale_of_text = len(rows), text.mean(), text.std()
        has_own = np.isfinite(evidence[np.arange(len(rows)), y[rows]])
        n_honest = int(has_own.sum())
        if n_honest:
            rows, evidence, logits, text = (part[has_own] for part in (rows, evidence, logits, text))
        labels = y[rows]
        neutral = _neutral(evidence, labels, n_honest > 0)
        if not n_honest:  # one image a class: nothing says what a new one of a class looks like
            evidence = np.full(evidence.shape, neutral)
        evidence = np.where(np.isfinite(evidence), evidence, neutral)
        evidence = evidence.astype(np.float16).astype(np.float32)  # as a file holds them
        trust = n_honest / (n_honest + _PRIOR)
        posterior = np.array([1.0, 4.0])
        shares = np.array([0.0, 0.5, 0.0])
        if text_of is not None and k > 1:
            shares[0] = information(logits, labels)
        if n_honest and k > 1:
            posterior = np.array(posterior_weights(logits, evidence, labels))
            both = posterior[0] * logits + posterior[1] * evidence
            measured = np.array([information(evidence, labels), information(both, labels)])
            shares[1:] = trust * measured + (1 - trust) * shares[1:]
        odds = np.sqrt(shares / (1 - shares))
        largest = odds[:2].max()
        weights = np.array([*odds[:2] / largest, shares[2] / 2]) if largest > 0 else np.array([0.0, 1.0, 0.0])
        fitted = cls(
            ImageEvidence.of(X, y), list(names), posterior, weights, np.zeros(3), np.ones(3), neutral
        )
        parts = fitted.parts(logits, text, evidence)
        measured = np.maximum([scale_of_text, *parts.std(axis=0)[1:]], _FLOORS)
        trusted = np.array([n_text / (n_text + _PRIOR), trust, trust])
        scales = np.exp(trusted * np.log(measured) + (1 - trusted) * np.log(_SCALES))
        centres = np.array([centre_of_text, *parts.mean(axis=0)[1:]])
        fitted = replace(fitted, centres=centres, scales=scales)
        return fitted, rows, CrossFitted(X[rows], evidence, np.zeros(len(rows)))

    def evidence(self, Z: Any, names: Sequence[str]) -> np.ndarray:
        """Evidence (n, k) of images for classes by name; `neutral` for those without images.

        Parameters
        ----------
        Z : ndarray of shape (n, d), or CrossFitted
        names : sequence of str
        """
        known = Z.evidence if isinstance(Z, CrossFitted) else self.images(Z)
        if list(names) == self.names:
            return np.asarray(known, dtype=np.float64)
        place = {name: i for i, name in enumerate(self.names)}
        found = [(column, place[name]) for column, name in enumerate(names) if name in place]
        evidence = np.full((len(known), len(names)), self.neutral)
        if found:
            columns, sources = map(list, zip(*found, strict=True))
            evidence[:, columns] = known[:, sources]
        return evidence

    def blocks(self, n: int, k: int) -> Iterator[slice]:
        """Rows of n images that are scored at a time against k classes; one empty block where n is 0."""
        step = max(1, _CELLS // max(k, len(self.names), 1024))
        yield from (slice(start, start + step) for start in range(0, max(n, 1), step))

    def logits(self, logits: np.ndarray, evidence: np.ndarray) -> np.ndarray:
        """Logits (n, k) of the posterior."""
        return self.posterior[0] * logits + self.posterior[1] * evidence

    def parts(self, logits: np.ndarray, text: np.ndarray, evidence: np.ndarray) -> np.ndarray:
        """The three parts (n, 3), as they are."""
        both = self.logits(logits, evidence)
        p = np.exp(log_softmax(both, axis=1))
        clarity = np.zeros(len(p))
        if p.shape[1] > 1:
            rows, first = np.arange(len(p)), both.argmax(axis=1)
            largest = both[rows, first]
            both[rows, first] = -np.inf
            clarity = largest - logsumexp(both, axis=1)
        return np.stack([text, (p * evidence).sum(axis=1), clarity], axis=1)

    def shares(self, parts: np.ndarray) -> np.ndarray:
        """What each part, centred, scaled and weighted, adds to the score (n, 3)."""
        return (parts - self.centres) / self.scales * self.weights

    def score(self, parts: np.ndarray) -> np.ndarray:
        """The joint score (n,)."""
        return self.shares(parts).sum(axis=1)


def _neutral(evidence: np.ndarray, y: np.ndarray, has_own: bool) -> float:
    """Half-way between the mean evidence for an image's own class and that for the best of the others."""
    rows = np.arange(len(y))
    own, others = evidence[rows, y], evidence.copy()
    others[rows, y] = np.nan
    others = np.where(np.isnan(others), -np.inf, others).max(axis=1)
    others = others[np.isfinite(others)]
    means = ([own.mean()] if has_own else []) + ([others.mean()] if len(others) else [])
    return float(np.mean(means)) if means else 0.0
