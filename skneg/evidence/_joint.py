"""The joint score, fitted on training images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import numpy as np

from .._softmax import log_softmax, logsumexp, softmax
from .._utils import warn
from ..errors import CalibrationWarning, InputError
from ._images import N_FOLDS, ImageEvidence, cross_fit, folds_of_classes
from ._nearest import NearestImages
from ._pair import PairedEvidence, apart, fit_evidence
from ._weights import FLOOR, PRIOR, information, odds, posterior_weights, separation

TextOf = Callable[..., tuple[np.ndarray, np.ndarray]]

# Where a detector's `_learn` leaves what it has cross-fitted itself: the rows that can set a threshold, what
# is kept of them, and their honest scores (m, 2), those of their own class in the second column.
CROSS_FITTED = "cross_fitted_"

PARTS = ("text", "images", "nearest", "clarity")
_SCALES = np.array([2.0, 0.35, 0.05, 2.0])  # usual ones of the parts, which count for `PRIOR` images
_FLOORS = np.array([FLOOR, FLOOR, 0.005, FLOOR])  # of scales; the nearest images are told in cosines
_CELLS = 2**20  # images x classes of which evidence is kept, for more than _ROWS images
_ROWS = 1000
_PLAYED = 3  # classes that the weights without any unknown image count for, beside those that play unknown
_DRAWS = 3  # how often the classes are shared out in groups that play unknown
_FARTHEST = -1.0  # the least cosine
_TINY = 1e-15  # of a probability: what is left for other classes at the least


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """Training images with the evidence (n, k, 2) that images of other folds give of each.

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
    nearest : NearestImages or None
        Of the same classes; None where it counts for nothing.
    names : list of str
        Their names, in the order of `images`.
    posterior : ndarray of shape (2,)
        (a, l).
    weights, centres, scales : ndarray of shape (4,)
        Of the parts, in the order of `PARTS`.
    neutral : float
        Image evidence, in nats, of a class without images, in the posterior. In the score it has the usual
        one (`centres`): nothing speaks against what nothing is known of.
    """

    images: ImageEvidence | PairedEvidence
    nearest: NearestImages | None
    names: list[str]
    posterior: np.ndarray
    weights: np.ndarray
    centres: np.ndarray
    scales: np.ndarray
    neutral: float

    def __post_init__(self) -> None:
        shapes = {"posterior": (2,), "weights": (4,), "centres": (4,), "scales": (4,)}
        if any(getattr(self, name).shape != shape for name, shape in shapes.items()):
            raise InputError(f"a joint score has arrays of shapes {shapes}.")
        counts = [len(self.images.means), *([] if self.nearest is None else [len(self.nearest.counts)])]
        if any(len(self.names) != count for count in counts):
            raise InputError(f"{len(self.names)} names, but images of {counts} classes.")
        if self.nearest is not None and self.nearest.embeddings.shape[1] != len(self.images.centre):
            raise InputError("the nearest images have another width than the class means.")

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
            Decides the folds, and which classes play unknown together.
        text_of : callable, optional
            From row numbers to the text logits (m, k) of these images, and what the detector scores them by
            without images, (m,), both in nats. Called with a mask (m, k) of classes too, it leaves these out
            of the score of each image. None leaves text out.
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
        fold = folds_of_classes(y, rng, groups)
        n_draws = max(1, min(_DRAWS, 1500 // k)) if k > 2 else 0  # of many classes one draw says enough
        play = [rng.permutation(k) % min(N_FOLDS, k) for _ in range(n_draws)]
        images, evidence = fit_evidence(X, y, rows, fold, columns)
        nearest = NearestImages.of(X, y, rng)
        near = cross_fit(partial(NearestImages.of, rng=rng), X, y, rows, fold)
        logits, text = np.zeros((len(rows), k)), np.zeros(len(rows))
        if text_of is not None:
            logits, text = text_of(rows)
        n_text, centre_of_text, scale_of_text = len(rows), text.mean(), text.std()
        text_knows = 0.0
        if text_of is not None and k > 1:  # a name may mean nothing, and few labels are explained by luck
            text_knows = information(logits, y[rows]) * n_text / (n_text + PRIOR)
        has_own = np.isfinite(evidence[np.arange(len(rows)), y[rows]])
        n_honest = int(has_own.sum())
        if n_honest:
            rows, evidence, near, logits, text = (
                part[has_own] for part in (rows, evidence, near, logits, text)
            )
        labels = y[rows]
        neutral = _neutral(evidence, labels)
        if not n_honest:  # one image a class: nothing says what a new one of a class looks like
            evidence, near = np.full(evidence.shape, neutral), np.zeros(near.shape)
            warn(
                "each class has one image, and nothing says how near a new one will be: the threshold is a "
                "guess. Give two images of some classes, or calibrate(X, y) with others.",
                CalibrationWarning,
            )
        evidence = np.where(np.isfinite(evidence), evidence, neutral)
        near = np.where(np.isfinite(near), near, near[np.isfinite(near)].mean())
        said = np.stack([evidence, near], axis=2)
        said = said.astype(np.float16).astype(np.float64)  # as a file holds them
        trust = n_honest / (n_honest + PRIOR)
        posterior, weights = _weigh(logits, said[..., 0], labels, trust, text_knows)
        fitted = cls(images, nearest, list(names), posterior, weights, np.zeros(4), np.ones(4), neutral)
        parts = fitted.parts(logits, text, said)
        measured = np.maximum([scale_of_text, *parts.std(axis=0)[1:]], _FLOORS)
        trusted = np.array([n_text / (n_text + PRIOR), trust, trust, trust])
        scales = np.exp(trusted * np.log(measured) + (1 - trusted) * np.log(_SCALES))
        centres = np.array([centre_of_text, *parts.mean(axis=0)[1:]])
        fitted = replace(fitted, centres=centres, scales=scales)

        def without(is_out: np.ndarray, evidence: np.ndarray) -> np.ndarray:
            """Parts of the images that have evidence, while the classes `is_out` of each play unknown."""
            has = np.isfinite(evidence).any(axis=1)
            is_out, images = is_out[has], np.where(np.isfinite(evidence[has]), evidence[has], neutral)
            own_text = np.zeros(len(images)) if text_of is None else text_of(rows[has], is_out)[1]
            left = np.stack([images, np.where(is_out, _FARTHEST, near[has])], axis=2)
            parts = fitted.parts(np.where(is_out, -np.inf, logits[has]), own_text, left)
            return fitted.standardised(parts)

        sides: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        for group in play if n_honest else ():
            outs = fold[rows], group[labels]
            for side, of_side, out in zip(sides, apart(images, X, y, rows, fold, group), outs, strict=True):
                side.extend(without(group == out[:, None], of_side))
        if all(map(len, sides)):
            played = len(np.unique(labels))
            learned = separation(*map(np.array, sides))
            weights = (_PLAYED * weights + played * learned) / (_PLAYED + played)
            weights /= weights.max()
        counts = weights[2] > 0
        said[..., 1] *= counts
        fitted = replace(fitted, weights=weights, nearest=nearest if counts else None)
        parts = fitted.parts(logits, text, said)
        of_classes = fitted.score(fitted.class_parts(parts, logits, said))
        honest = np.stack([fitted.score(parts), of_classes[np.arange(len(rows)), labels]], axis=1)
        return fitted, rows, honest, CrossFitted(X[rows], said.astype(np.float32))

    def evidence(self, Z: Any, names: Sequence[str]) -> np.ndarray:
        """Evidence (n, k, 2) of images for classes by name: `images` and `nearest`; NaN without images.

        Parameters
        ----------
        Z : ndarray of shape (n, d), or CrossFitted
        names : sequence of str
        """
        width = len(self.images.centre)
        if Z.shape[1] != width:
            raise InputError(f"the images have embeddings of {Z.shape[1]} columns, those of fit had {width}.")
        known = (Z.evidence if isinstance(Z, CrossFitted) else self.say(Z)).astype(np.float64)
        if list(names) == self.names:
            return known
        place = {name: i for i, name in enumerate(self.names)}
        sources = [place.get(name, 0) for name in names]
        return np.where([[name in place] for name in names], known[:, sources], np.nan)

    @property
    def width(self) -> int:
        """Columns that scoring an image needs at a time, in float32."""
        return 2 * len(self.names) + (0 if self.nearest is None else self.nearest.width)

    def say(self, Z: Any) -> Any:
        """Evidence (n, k, 2) of embeddings for all classes that have images."""
        images = self.images(Z)
        return np.stack([images, images * 0 if self.nearest is None else self.nearest(Z)], axis=2)

    def logits(self, logits: np.ndarray, evidence: np.ndarray) -> np.ndarray:
        """Logits (n, k) of the posterior."""
        images = evidence[:, :, 0]
        known = np.where(np.isnan(images), self.neutral, images)
        return self.posterior[0] * logits + self.posterior[1] * known

    def parts(self, logits: np.ndarray, text: np.ndarray, evidence: np.ndarray) -> np.ndarray:
        """The four parts (n, 4), as they are."""
        both = self.logits(logits, evidence)
        p = softmax(both, axis=1)
        clarity = np.full(len(p), self.centres[3])  # one class is never unclear
        if p.shape[1] > 1:
            clarity = _clearest(both)[1]
        images = (p * self._usual(evidence)[:, :, 0]).sum(axis=1)
        is_unseen = np.isnan(evidence[:, :, 1])
        unseen = (p * is_unseen).sum(axis=1)
        nearest = np.where(is_unseen, _FARTHEST, evidence[:, :, 1]).max(axis=1)
        nearest = (1 - unseen) * nearest + unseen * self.centres[2]
        return np.stack([text, images, nearest, clarity], axis=1)

    def class_parts(self, parts: np.ndarray, logits: np.ndarray, evidence: np.ndarray) -> np.ndarray:
        """From the parts (n, 4) of images to those (n, k, 4) with each class in the place of all."""
        both = self.logits(logits, evidence)
        clarity = np.full(both.shape, self.centres[3])
        if both.shape[1] > 1:
            log_p = log_softmax(both, axis=1)
            clarity = log_p - np.log(-np.expm1(np.minimum(log_p, -_TINY)))
            first, odds = _clearest(both)
            clarity[np.arange(len(both)), first] = odds
        images = self._usual(evidence)
        text = parts[:, :1] + log_softmax(logits, axis=1)
        return np.stack([text, images[:, :, 0], images[:, :, 1], clarity], axis=2)

    def _usual(self, evidence: np.ndarray) -> np.ndarray:
        """With the usual evidence where there is none: nothing speaks against what nothing is known of."""
        return np.where(np.isnan(evidence), self.centres[1:3], evidence)

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
        nearest, near = None, np.zeros(evidence.shape)
        if self.nearest is not None:
            nearest, near = self.nearest.add(Z, y, groups)
        more = replace(self, images=images, nearest=nearest, names=every)
        rows = np.flatnonzero(np.isfinite(evidence[np.arange(len(y)), y]))
        old = more.say(np.asarray(seen))
        if isinstance(seen, CrossFitted):
            old[:, : len(self.names)] = seen.evidence
        both = np.concatenate([old, np.stack([evidence, near], axis=2)[rows]])
        kept = np.concatenate([np.asarray(seen), Z[rows]])
        return more, CrossFitted(kept, both.astype(np.float16).astype(np.float32)), rows

    def standardised(self, parts: np.ndarray) -> np.ndarray:
        """Parts (..., 4), centred and scaled."""
        return (parts - self.centres) / self.scales

    def shares(self, parts: np.ndarray) -> np.ndarray:
        """What each of the parts (..., 4) adds to the score."""
        return self.standardised(parts) * self.weights

    def score(self, parts: np.ndarray) -> np.ndarray:
        """The joint score of parts (..., 4)."""
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
    """Weights (a, l) of the posterior, and those (4,) of the parts by what each knows about the labels."""
    posterior, shares = np.array([1.0, 4.0]), np.array([text_knows, 0.5, 0.0])
    if trust and evidence.shape[1] > 1:
        posterior = np.array(posterior_weights(logits, evidence, labels))
        both = posterior[0] * logits + posterior[1] * evidence
        measured = np.array([information(evidence, labels), information(both, labels)])
        shares[1:] = trust * measured + (1 - trust) * shares[1:]
    counts = odds(shares[:2])
    largest = counts.max()
    return posterior, np.array([*counts / largest, 0, shares[2] / 2] if largest > 0 else [0.0, 1.0, 0.0, 0.0])


def _neutral(evidence: np.ndarray, y: np.ndarray) -> float:
    """Half-way between the mean evidence for an image's own class and that for the best of the others."""
    is_own = y[:, None] == np.arange(evidence.shape[1])
    known = np.where(np.isnan(evidence), -np.inf, evidence)
    sides = [known[is_own], np.where(is_own, -np.inf, known).max(axis=1)]
    means = [side[np.isfinite(side)].mean() for side in sides if np.isfinite(side).any()]
    return float(np.mean(means)) if means else 0.0
