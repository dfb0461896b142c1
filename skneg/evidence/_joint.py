"""The joint score, fitted on training images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from .._softmax import log_softmax, logsumexp, softmax
from .._utils import warn
from ..errors import CalibrationWarning, InputError
from ._images import N_FOLDS, ImageEvidence, groups_of_classes
from ._pair import PairedEvidence, fit_evidence
from ._weights import FLOOR, PRIOR, information, odds, posterior_weights, separation

TextOf = Callable[..., tuple[np.ndarray, np.ndarray]]

# Where a detector's `_learn` leaves what it has cross-fitted itself: the rows that can set a threshold, what
# is kept of them, and their honest scores (m, 2), those of their own class in the second column.
CROSS_FITTED = "cross_fitted_"

PARTS = ("text", "images", "clarity")
_SCALES = (2.0, 0.35, 2.0)  # nats; usual scales of the parts, which count for `PRIOR` images
_CELLS = 2**21  # cross-fitted evidence, images x classes, kept at most for more than _ROWS images
_ROWS = 1000
_TINY = 1e-15  # of a probability: what is left for other classes at the least


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """Training images with the evidence (n, k) that images of other folds give of each.

    A detector scores them as if their own images had taught it nothing.
    """

    embeddings: np.ndarray
    evidence: np.ndarray

    def __post_init__(self) -> None:
        if len(self.embeddings) != len(self.evidence):
            raise InputError("embeddings and evidence must have a row for each image.")

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
        return CrossFitted(self.embeddings[rows], self.evidence[rows])


@dataclass(frozen=True, eq=False)
class JointScore:
    """The joint score, fitted: statistics of the images, and what each part counts for.

    Attributes
    ----------
    images : ImageEvidence or PairedEvidence
        Of the classes that have images.
    names : list of str
        Their names, in the order of `images`.
    posterior : ndarray of shape (2,)
        (a, l).
    weights, centres, scales : ndarray of shape (3,)
        Of the parts, in the order of `PARTS`.
    neutral : float
        Image evidence, in nats, of a class without images, in the posterior. In the score it has the usual
        one (`centres`): nothing speaks against what nothing is known of.
    """

    images: ImageEvidence | PairedEvidence
    names: list[str]
    posterior: np.ndarray
    weights: np.ndarray
    centres: np.ndarray
    scales: np.ndarray
    neutral: float

    def __post_init__(self) -> None:
        shapes = {"posterior": (2,), "weights": (3,), "centres": (3,), "scales": (3,)}
        if any(getattr(self, name).shape != shape for name, shape in shapes.items()):
            raise InputError(f"a joint score has arrays of shapes {shapes}.")
        if len(self.names) != len(self.images.means):
            raise InputError(f"{len(self.names)} names, but images of {len(self.images.means)} classes.")

    @classmethod
    def fit(
        cls,
        X: np.ndarray,
        y: np.ndarray,
        names: Sequence[str],
        rng: np.random.RandomState,
        text_of: TextOf | None = None,
        groups: np.ndarray | None = None,
        columns: Sequence[int] | None = None,
    ) -> tuple[Self, np.ndarray, np.ndarray, CrossFitted]:
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
            without images, (m,), both in nats. Called with class numbers (m,) too, it leaves the class of
            each image out of its score. None leaves text out.
        groups : ndarray of shape (n,), int, optional
            See `folds`.
        columns : sequence of two int, optional
            How many columns each of two models has; by default there is one model.

        Returns
        -------
        JointScore
        rows : ndarray of int
            The images that can set a threshold: those with others of their class beside them. Where no class
            has two images, all of them, with `neutral` evidence. With very many images and classes, a part
            of them, drawn by `rng`.
        honest : ndarray of shape (len(rows), 2)
            Their scores, and those of their own class, by text and evidence that they have not taught.
        cross_fitted : CrossFitted
            These images.
        """
        n, k = len(y), len(names)
        rows = np.arange(n)
        if n * k > _CELLS:
            rows = np.sort(rng.permutation(n)[: max(_CELLS // k, _ROWS)])
        images, evidence = fit_evidence(X, y, rows, rng, groups, columns)
        logits, text = np.zeros((len(rows), k)), np.zeros(len(rows))
        if text_of is not None:
            logits, text = text_of(rows)
        n_text, centre_of_text, scale_of_text = len(rows), text.mean(), text.std()
        text_knows = information(logits, y[rows]) if text_of is not None and k > 1 else 0.0
        has_own = np.isfinite(evidence[np.arange(len(rows)), y[rows]])
        n_honest = int(has_own.sum())
        if n_honest:
            rows, evidence, logits, text = (part[has_own] for part in (rows, evidence, logits, text))
        labels = y[rows]
        neutral = _neutral(evidence, labels)
        if not n_honest:  # one image a class: nothing says what a new one of a class looks like
            evidence = np.full(evidence.shape, neutral)
            warn(
                "each class has one image, and nothing says how near a new one will be: the threshold is a "
                "guess. Give two images of some classes, or calibrate(X, y) with others.",
                CalibrationWarning,
            )
        evidence = np.where(np.isfinite(evidence), evidence, neutral)
        evidence = evidence.astype(np.float16).astype(np.float64)  # as a file holds them
        trust = n_honest / (n_honest + PRIOR)
        posterior, weights = _weigh(logits, evidence, labels, trust, text_knows)
        fitted = cls(images, list(names), posterior, weights, np.zeros(3), np.ones(3), neutral)
        parts = fitted.parts(logits, text, evidence)
        measured = np.maximum([scale_of_text, *parts.std(axis=0)[1:]], FLOOR)
        trusted = np.array([n_text / (n_text + PRIOR), trust, trust])
        scales = np.exp(trusted * np.log(measured) + (1 - trusted) * np.log(_SCALES))
        centres = np.array([centre_of_text, *parts.mean(axis=0)[1:]])
        fitted = replace(fitted, centres=centres, scales=scales)
        # With two folds, evidence comes from half the images: it does not say how well all of them separate.
        share = (np.minimum(groups_of_classes(y, groups), N_FOLDS).mean() - 2) / (N_FOLDS - 2)
        if text_of is not None and k > 1 and n_honest > 1 and share > 0:

            def without(gone: np.ndarray) -> np.ndarray:
                kept = np.arange(k) != gone[:, None]
                of_kept = (part[kept].reshape(-1, k - 1) for part in (logits, evidence))
                parts = fitted.parts(next(of_kept), text_of(rows, gone)[1], next(of_kept))
                return (parts - centres) / scales

            # Another class is struck out of the known side: fewer classes are less evidence by themselves.
            another = (labels + rng.randint(1, k, len(labels))) % k
            known, unknown = without(another), without(labels)
            mean = weights[:2] + share * separation(known, unknown)[:2]
            weights[:2] = mean / mean.max()
        of_classes = fitted.score(fitted.class_parts(parts, logits, evidence))
        honest = np.stack([fitted.score(parts), of_classes[np.arange(len(rows)), labels]], axis=1)
        return fitted, rows, honest, CrossFitted(X[rows], evidence.astype(np.float32))

    def evidence(self, Z: Any, names: Sequence[str]) -> np.ndarray:
        """Evidence (n, k) of images for classes by name; NaN for those without images.

        Parameters
        ----------
        Z : ndarray of shape (n, d), or CrossFitted
        names : sequence of str
        """
        width = len(self.images.centre)
        if Z.shape[1] != width:
            raise InputError(f"the images have embeddings of {Z.shape[1]} columns, those of fit had {width}.")
        known = (Z.evidence if isinstance(Z, CrossFitted) else self.images(Z)).astype(np.float64)
        if list(names) == self.names:
            return known
        place = {name: i for i, name in enumerate(self.names)}
        sources = [place.get(name, 0) for name in names]
        return np.where([name in place for name in names], known[:, sources], np.nan)

    def logits(self, logits: np.ndarray, evidence: np.ndarray) -> np.ndarray:
        """Logits (n, k) of the posterior."""
        known = np.where(np.isnan(evidence), self.neutral, evidence)
        return self.posterior[0] * logits + self.posterior[1] * known

    def parts(self, logits: np.ndarray, text: np.ndarray, evidence: np.ndarray) -> np.ndarray:
        """The three parts (n, 3), as they are."""
        both = self.logits(logits, evidence)
        p = softmax(both, axis=1)
        clarity = np.full(len(p), self.centres[2])  # one class is never unclear
        if p.shape[1] > 1:
            clarity = _clearest(both)[1]
        images = np.where(np.isnan(evidence), self.centres[1], evidence)
        return np.stack([text, (p * images).sum(axis=1), clarity], axis=1)

    def class_parts(self, parts: np.ndarray, logits: np.ndarray, evidence: np.ndarray) -> np.ndarray:
        """From the parts (n, 3) of images to those (n, k, 3) with each class in the place of all."""
        both = self.logits(logits, evidence)
        clarity = np.full(both.shape, self.centres[2])
        if both.shape[1] > 1:
            log_p = log_softmax(both, axis=1)
            clarity = log_p - np.log(-np.expm1(np.minimum(log_p, -_TINY)))
            first, odds = _clearest(both)
            clarity[np.arange(len(both)), first] = odds
        images = np.where(np.isnan(evidence), self.centres[1], evidence)
        return np.stack([parts[:, :1] + log_softmax(logits, axis=1), images, clarity], axis=2)

    def add(
        self, Z: np.ndarray, names: Sequence[str], seen: Any, groups: np.ndarray | None = None
    ) -> tuple[Self, CrossFitted, np.ndarray]:
        """With more images, of these classes or of new ones; weights and covariance stay.

        Parameters
        ----------
        Z : ndarray of shape (n, d)
        names : sequence of str
            The class of each image.
        seen : CrossFitted, or ndarray of shape (m, d) that taught nothing
            Images that set a threshold so far.
        groups : ndarray of shape (n,), int, optional
            See `folds`.

        Returns
        -------
        JointScore
        cross_fitted : CrossFitted
            Those of `seen`, and the new ones that have others of their class beside them.
        rows : ndarray of int
            Which of the new ones these are.
        """
        every = list(dict.fromkeys([*self.names, *names]))
        y = np.array([every.index(name) for name in names])
        images, evidence = self.images.add(Z, y, groups)
        rows = np.flatnonzero(np.isfinite(evidence[np.arange(len(y)), y]))
        old = images(np.asarray(seen))
        if isinstance(seen, CrossFitted):
            old[:, : len(self.names)] = seen.evidence
        both = np.concatenate([old, evidence[rows]]).astype(np.float16).astype(np.float32)
        kept = np.concatenate([np.asarray(seen), Z[rows]])
        return replace(self, images=images, names=every), CrossFitted(kept, both), rows

    def shares(self, parts: np.ndarray) -> np.ndarray:
        """What each part, centred, scaled and weighted, adds to the score; parts are (..., 3)."""
        return (parts - self.centres) / self.scales * self.weights

    def score(self, parts: np.ndarray) -> np.ndarray:
        """The joint score of parts (..., 3)."""
        return self.shares(parts).sum(axis=-1)


def _clearest(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest class (n,) of each row, and its log odds (n,)."""
    rows, first = np.arange(len(logits)), logits.argmax(axis=1)
    others = logits.copy()
    others[rows, first] = -np.inf
    return first, logits[rows, first] - logsumexp(others, axis=1)


def _weigh(
    logits: np.ndarray, evidence: np.ndarray, labels: np.ndarray, trust: float, text_knows: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (a, l) of the posterior, and those (3,) of the parts by what each knows about the labels."""
    posterior, shares = np.array([1.0, 4.0]), np.array([text_knows, 0.5, 0.0])
    if trust and evidence.shape[1] > 1:
        posterior = np.array(posterior_weights(logits, evidence, labels))
        both = posterior[0] * logits + posterior[1] * evidence
        measured = np.array([information(evidence, labels), information(both, labels)])
        shares[1:] = trust * measured + (1 - trust) * shares[1:]
    counts = odds(shares[:2])
    largest = counts.max()
    return posterior, np.array([*counts / largest, shares[2] / 2] if largest > 0 else [0.0, 1.0, 0.0])


def _neutral(evidence: np.ndarray, y: np.ndarray) -> float:
    """Half-way between the mean evidence for an image's own class and that for the best of the others."""
    is_own = y[:, None] == np.arange(evidence.shape[1])
    known = np.where(np.isnan(evidence), -np.inf, evidence)
    sides = [known[is_own], np.where(is_own, -np.inf, known).max(axis=1)]
    means = [side[np.isfinite(side)].mean() for side in sides if np.isfinite(side).any()]
    return float(np.mean(means)) if means else 0.0
