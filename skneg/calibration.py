"""The threshold of a detector: which images set it, and how it follows the vocabulary."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ._validation import check_between
from .bank import TextBank
from .errors import InputError, InputTypeError
from .threshold import conformal_offset, p_values, smallest_calibration_set, split_holdout
from .vocabulary import check_labels


class CalibrationWarning(UserWarning):
    """The threshold comes from images that cannot vouch for it."""


def offset_or_smallest(scores: np.ndarray, contamination: float, whose: str, stacklevel: int) -> float:
    """The conformal offset; with a warning the smallest score where there are too few for it."""
    try:
        return conformal_offset(scores, contamination)
    except InputError:
        warnings.warn(
            f"{whose} comes from {len(scores)} images, fewer than the "
            f"{smallest_calibration_set(contamination)} that can vouch for "
            f"contamination={contamination}; it is their smallest score.",
            CalibrationWarning,
            stacklevel=stacklevel,
        )
        return float(scores.min())


class CalibrationMixin:
    """Sets ``offset_`` from calibration images that are kept as ``calibration_embeddings_``."""

    contamination: float
    calibration: str
    calibration_fraction: float
    score_temperature: float
    classes_: np.ndarray
    class_names_: list[str]
    unknown_label_: Any
    calibration_embeddings_: Any
    calibration_names_: list[str] | None
    calibration_scores_: np.ndarray
    offset_: float

    def calibrate(self, X: Any = None, y: Any = None) -> Self:
        """Set the threshold anew, without any training.

        After ``set_params`` has changed `contamination` or `score_temperature`, which `fit` has used for
        ``offset_``, ``calibrate()`` brings the threshold up to date. With `X` it comes from other
        images, such as ones of the place where the detector works.

        Parameters
        ----------
        X : sequence of images, or array-like of shape (n, d) of floats, optional
            Images of the known classes, as in `fit`, that had no part in training; they take the place
            of those kept so far. By default those kept so far are scored again.
        y : array-like of shape (n,), optional
            Their labels, of ``classes_``; rows labelled ``unknown_label_`` are not used. Needed for the
            threshold to follow `set_vocabulary` exactly, and for nothing else.

        Returns
        -------
        self

        Raises
        ------
        ImageError
            If an image cannot be read; has its ``index``.
        InputError
            If there are fewer than ``1 / contamination - 1`` images of known classes, so few that they
            cannot vouch for `contamination`; or a label is not among ``classes_``. The detector is then
            as it was.

        Examples
        --------
        >>> from skneg import MCMDetector
        >>> from skneg.datasets import make_scenes
        >>> X, y = make_scenes(140, shapes=["star", "heart"], random_state=0)
        >>> detector = MCMDetector(model="skneg-tiny").fit(X[:40], y[:40])
        >>> detector.set_params(contamination=0.01).calibrate(X[40:], y[40:]).calibration_scores_.shape
        (100,)
        """
        check_is_fitted(self)
        check_between("contamination", self.contamination, 0, 1)
        self._check_score_temperature()  # type: ignore[attr-defined]
        changed = copy.copy(self)
        if X is not None:
            changed._keep_for_calibration(X, y)
        elif y is not None:
            raise InputError("calibrate got y without X: labels say nothing without their images.")
        scores = changed._calibration_scores()
        changed.offset_ = conformal_offset(scores, self.contamination)
        changed.calibration_scores_ = np.sort(scores)
        self.__dict__ = changed.__dict__
        return self

    def p_values(self, X: Any) -> np.ndarray:
        """How unusual each image is among images of the known classes.

        The conformal p-value ``(1 + #{c <= s}) / (n_calibration + 1)`` of a score s, with c the
        ``calibration_scores_`` [1]_. Where there are enough of them to vouch for `contamination`,
        `predict` rejects exactly the images with ``p <= contamination``.

        Parameters
        ----------
        X : sequence of images, or array-like of shape (n, d) of floats
            As in `fit`.

        Returns
        -------
        ndarray of shape (n,), float64
            Between ``1 / (n_calibration + 1)`` and 1; small = unlike the known classes. A new image of
            the known classes has a p-value of at most a with a chance of at most a, whatever a.

        References
        ----------
        .. [1] Bates et al., "Testing for Outliers with Conformal p-values", Annals of Statistics 2023.

        Examples
        --------
        >>> from skneg import MaxLogitDetector
        >>> from skneg.datasets import make_scenes
        >>> X, y = make_scenes(99, shapes=["star", "heart"], random_state=0)
        >>> detector = MaxLogitDetector(model="skneg-tiny").fit(X, y)
        >>> strange, _ = make_scenes(20, shapes=["fish"], random_state=1)
        >>> bool((detector.p_values(strange) <= 0.05).mean() > 0.5)
        True
        """
        check_is_fitted(self)
        return p_values(self._score(self._represent(X)), self.calibration_scores_)  # type: ignore[attr-defined]

    # Whether `fit` learns from the images, or only sets the threshold with them.
    _learns = True

    def _make_bank(self, names: Sequence[str]) -> TextBank:
        raise NotImplementedError

    def _score(self, Z: Any, bank: TextBank | None = None) -> np.ndarray:
        raise NotImplementedError

    def _keep_for_calibration(self, X: Any, y: Any) -> None:
        """Represent the images of known classes and keep them, with the names of their classes."""
        n_samples = self._count(X)  # type: ignore[attr-defined]
        rows, names = np.arange(n_samples), None
        if y is not None:
            labels = check_labels(y, n_samples)
            rows, names = self._known_rows(labels)
        needed = smallest_calibration_set(self.contamination)
        if len(rows) < needed:
            raise InputError(
                f"{len(rows)} images of known classes cannot vouch for contamination={self.contamination}: "
                f"at least {needed} are needed. Give more images, or set a larger contamination."
            )
        self.calibration_embeddings_ = self._rows(self._represent(X), rows)  # type: ignore[attr-defined]
        self.calibration_names_ = names

    def _known_rows(self, labels: np.ndarray) -> tuple[np.ndarray, list[str]]:
        """The rows that are not labelled unknown, and the names of their classes."""
        if len(labels) and (labels.dtype.kind == "U") != (self.classes_.dtype.kind == "U"):
            raise InputTypeError(
                f"y has labels such as {labels[0].item()!r}; this detector's are such as "
                f"{self.classes_[0].item()!r}."
            )
        name_of = dict(zip(self.classes_.tolist(), self.class_names_, strict=True))
        rows = np.arange(len(labels))
        if self.unknown_label_ is not None:
            rows = np.flatnonzero(labels != self.unknown_label_)
        for row in rows:
            if labels[row] not in name_of:
                raise InputError(
                    f"y has label {labels[row].item()!r} in row {row}, which is not one of classes_. Leave "
                    "the row out, label it unknown, or name the class with set_vocabulary first."
                )
        return rows, [name_of[label] for label in labels[rows].tolist()]

    def _calibration_names_beside(self, names: Sequence[str]) -> list[str] | None:
        """Class names of the calibration images, guessed where one that they may show is not in `names`."""
        if self.calibration_names_ is not None or set(self.class_names_) <= set(names):
            return self.calibration_names_
        warnings.warn(
            "the images that set the threshold have no labels, so each counts as of the class that was "
            "nearest to it: the new threshold is a guess. calibrate(X) with images of the new classes sets "
            "one that holds; labels in fit or calibrate avoid the guess.",
            CalibrationWarning,
            stacklevel=3,
        )
        nearest = self._posterior(self.calibration_embeddings_).argmax(axis=1)  # type: ignore[attr-defined]
        return [self.class_names_[number] for number in nearest]

    def _split(
        self, targets: np.ndarray, random_state: np.random.RandomState
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows to train on, rows to calibrate on."""
        everything = np.arange(len(targets))
        needed = smallest_calibration_set(self.contamination)
        if self.calibration == "train" or not self._learns:
            return everything, everything
        train, held_out = split_holdout(targets, self.calibration_fraction, random_state)
        if len(held_out) >= needed:
            return train, held_out
        if self.calibration == "holdout":
            raise InputError(
                f"calibration='holdout' sets {len(held_out)} of {len(targets)} images aside, but "
                f"contamination={self.contamination} needs {needed}: give more images, a larger "
                "calibration_fraction or a larger contamination."
            )
        if len(targets) < needed:
            return everything, everything  # `_calibrate` warns
        warnings.warn(
            f"{len(targets)} images are too few to hold {needed} out for the threshold, so it comes from "
            "the training images and rejects more of the known classes than `contamination` says. Give "
            "more images, here or to calibrate, or a larger `contamination`.",
            CalibrationWarning,
            stacklevel=4,
        )
        return everything, everything

    def _bank_with(self, names: Sequence[str]) -> TextBank | None:
        """The bank with further classes at the end, or None where the detector cannot know them."""
        return self._make_bank([*self.class_names_, *names])

    def _calibrate(self) -> None:
        """Set the threshold from the calibration images as far as they allow; see `set_vocabulary`."""
        try:
            scores = self._calibration_scores()
        except InputError as error:
            if not hasattr(self, "offset_"):
                raise
            warnings.warn(
                f"the threshold stays as it was: {error} Call calibrate(X, y) with images of the new "
                "classes.",
                CalibrationWarning,
                stacklevel=3,
            )
            return
        self.calibration_scores_ = np.sort(scores)
        self.offset_ = offset_or_smallest(scores, self.contamination, "the threshold", stacklevel=5)

    def _calibration_scores(self) -> np.ndarray:
        """Scores of the calibration images, in their order."""
        known = set(self.class_names_)
        missing = sorted(set(self.calibration_names_ or ()) - known)
        if not missing:
            return self._score(self.calibration_embeddings_)
        names = np.array(self.calibration_names_)
        scores = np.empty(len(names))
        stays = ~np.isin(names, missing)
        scores[stays] = self._score(self.calibration_embeddings_[stays])
        union = self._bank_with(missing)
        if union is None:
            if not stays.any():
                raise InputError("none of the images that set the threshold belongs to a known class.")
            return scores[stays]
        k = len(self.class_names_)
        for number, name in enumerate(missing):
            rows = names == name
            bank = union.take([*range(k), k + number])
            scores[rows] = self._score(self.calibration_embeddings_[rows], bank)
        return scores
