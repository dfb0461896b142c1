"""The estimator face that all detectors share: input, labels, vocabulary, threshold, prediction."""

from __future__ import annotations

import copy
import warnings
from abc import abstractmethod
from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from .bank import TextBank
from .errors import InputError, VocabularyError
from .images import as_image_sequence, is_embeddings
from .scores import class_posterior
from .threshold import conformal_offset, smallest_calibration_set, split_holdout
from .vocabulary import (
    ClassNames,
    Vocabulary,
    build_vocabulary,
    check_labels,
    replace_vocabulary,
    resolve_unknown_label,
)

if TYPE_CHECKING:
    from .backbone import Backbone

_SCORE_CELLS = 2**24  # cosines alive at a time while scoring: 128 MiB in float64


class CalibrationWarning(UserWarning):
    """The threshold comes from images that cannot vouch for it."""


class EmbeddingMixin:
    """Images to embeddings with the backbone that `model`, `pretrained`, `device`, `precision` name."""

    model: str
    pretrained: str | None
    device: str
    precision: str
    batch_size: int
    verbose: bool | int

    def _backbone(self) -> Backbone:
        from .backbone import load_backbone

        return load_backbone(self.model, self.pretrained, self.device, self.precision)

    def _encode_images(self, X: Any) -> np.ndarray:
        images = as_image_sequence(X)
        _check_at_least("batch_size", self.batch_size, 1, Integral)
        return self._backbone().image_tower.encode(images, self.batch_size, bool(self.verbose))


def _check_at_least(name: str, value: Any, least: float, kind: Any = Real) -> None:
    if isinstance(value, bool) or not isinstance(value, kind) or not value >= least:
        what = "an integer" if kind is Integral else "a number"
        raise InputError(f"{name} must be {what} of at least {least}, got {value!r}.")


def _check_between(name: str, value: Any, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or not low < float(value) < high:
        raise InputError(f"{name} must lie between {low} and {high}, got {value!r}.")


def _check_option(name: str, value: Any, options: Sequence[str]) -> None:
    if value not in options:
        raise InputError(f"{name} must be one of {list(options)}, got {value!r}.")


class BaseDetector(ClassifierMixin, EmbeddingMixin, BaseEstimator):
    """Base class of the detectors; a subclass says how its bank is made and which score it uses.

    Subclasses implement `_make_bank` and `_score_cosines`, and `_learn` where they train. Every public
    method that changes the detector works on a copy first, so that an error leaves it as it was.
    """

    def __init__(
        self,
        *,
        model: str = "ViT-B-16",
        pretrained: str | None = None,
        class_names: ClassNames | None = None,
        device: str = "auto",
        precision: str = "auto",
        batch_size: int = 64,
        contamination: float = 0.05,
        calibration: str = "auto",
        calibration_fraction: float = 0.2,
        score_temperature: float = 1.0,
        unknown_label: Any = "auto",
        random_state: Any = None,
        verbose: bool | int = False,
    ) -> None:
        self.model = model
        self.pretrained = pretrained
        self.class_names = class_names
        self.device = device
        self.precision = precision
        self.batch_size = batch_size
        self.contamination = contamination
        self.calibration = calibration
        self.calibration_fraction = calibration_fraction
        self.score_temperature = score_temperature
        self.unknown_label = unknown_label
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any, class_names: ClassNames | None = None) -> Self:
        """Learn from a few images of each known class.

        Parameters
        ----------
        X : sequence of images, or array-like of shape (n, d) of floats
            Paths, bytes, Pillow images or uint8 arrays in a list, 1-D array or Series; one uint8 array
            (n, height, width, channels); one tensor (n, 3, height, width), uint8 pixels or floats that
            are already preprocessed; or embeddings.
        y : array-like of shape (n,)
            A label for each image: integers or strings. Rows labelled `unknown_label` are not used.
        class_names : sequence of str or mapping of label to str, optional
            What the text tower reads; the constructor's `class_names` by default. String labels name
            themselves without it. In a sequence, position i names ``classes_[i]``; in one that is
            longer than the labels seen, it names integer label i, and the extra names are classes
            without images. String labels that are themselves among the names keep their own.

        Returns
        -------
        self

        Raises
        ------
        ImageError
            If an image cannot be read; has its ``index``.
        VocabularyError
            If a class has no name, or a name is empty, duplicate or too long.
        InputError, InputTypeError
            If X, y or a parameter is not usable.
        BackboneError
            If the model cannot be had.
        """
        fitted = self._unfitted_copy()
        fitted._fit(X, y, self.class_names if class_names is None else class_names)
        return self._become(fitted)

    def predict(self, X: Any) -> np.ndarray:
        """The class of each image, or the unknown label where ``decision_function`` is negative.

        Parameters
        ----------
        X : sequence of images, or array-like of shape (n, d) of floats
            As in `fit`.

        Returns
        -------
        ndarray of shape (n,)
            Labels of ``classes_``, or ``unknown_label_``.
        """
        check_is_fitted(self)
        embeddings = self._embed(X)
        labels = self.classes_[self._closed_set_cosines(embeddings).argmax(axis=1)]
        if self.unknown_label_ is None:
            return labels
        unknown = np.asarray(self.unknown_label_)
        if labels.dtype.kind != "U":
            unknown = unknown.astype(np.result_type(labels.dtype, np.min_scalar_type(unknown)))
        return np.where(self._score(embeddings) < self.offset_, unknown, labels)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Closed-set posterior: which class, given that it is one of them.

        Parameters
        ----------
        X : sequence of images, or array-like of shape (n, d) of floats
            As in `fit`.

        Returns
        -------
        ndarray of shape (n, k), float64
            Columns in the order of ``classes_``; rows sum to 1. Says nothing about unknown classes.
        """
        check_is_fitted(self)
        return class_posterior(self._closed_set_cosines(self._embed(X)), self.temperature_)

    def score_samples(self, X: Any) -> np.ndarray:
        """The raw score of each image; larger = more in-distribution.

        Parameters
        ----------
        X : sequence of images, or array-like of shape (n, d) of floats
            As in `fit`.

        Returns
        -------
        ndarray of shape (n,), float64
        """
        check_is_fitted(self)
        return self._score(self._embed(X))

    def decision_function(self, X: Any) -> np.ndarray:
        """``score_samples(X) - offset_``: negative where an image is rejected as unknown.

        Parameters
        ----------
        X : sequence of images, or array-like of shape (n, d) of floats
            As in `fit`.

        Returns
        -------
        ndarray of shape (n,), float64
            One-dimensional whatever the number of classes: it answers known or unknown.
        """
        check_is_fitted(self)
        return self._score(self._embed(X)) - self.offset_

    def set_vocabulary(self, class_names: ClassNames) -> Self:
        """Replace the known classes: no images, no training, one pass of the text tower.

        Constructor parameters stay as they are. ``offset_`` is computed anew from the calibration
        images kept from `fit`: each is scored in the new vocabulary with its own class added where it
        is missing. Where all their classes stay, that is the same split-conformal threshold; where
        they go, it carries the old classes' false-alarm rate over, a good guess without a guarantee.

        Parameters
        ----------
        class_names : sequence of str or mapping of label to str
            All classes known from now on. In a sequence, the names are the labels where the detector
            was fitted on strings, and label i is the i-th name where it was fitted on numbers; the
            order is kept.

        Returns
        -------
        self

        Raises
        ------
        VocabularyError
            If a name is empty, duplicate or too long, or the detector cannot take new names.
        """
        check_is_fitted(self)
        changed = copy.copy(self)
        vocabulary = replace_vocabulary(class_names, like=self.classes_)
        changed._set_classes(vocabulary)
        changed._calibrate()
        return self._become(changed)

    # What a subclass says of itself.

    def _learn(self, embeddings: np.ndarray, targets: np.ndarray, names: Sequence[str], seed: int) -> None:
        """Train on unit-norm `embeddings` (n, d) with class numbers `targets`; sets fitted attributes."""

    @abstractmethod
    def _make_bank(self, names: Sequence[str]) -> TextBank:
        """The bank of a vocabulary, from what `_learn` has set."""

    @abstractmethod
    def _score_cosines(self, positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
        """Scores (n,) of cosines (n, k) to the positives and (n, m) to the negatives."""

    def _check_parameters(self) -> None:
        _check_at_least("batch_size", self.batch_size, 1, Integral)
        _check_between("contamination", self.contamination, 0, 1)
        _check_between("calibration_fraction", self.calibration_fraction, 0, 1)
        _check_between("score_temperature", self.score_temperature, 0, np.inf)
        _check_option("calibration", self.calibration, ("auto", "holdout", "train"))

    # How fitting goes.

    def _unfitted_copy(self) -> Self:
        fresh = copy.copy(self)
        for name in list(vars(fresh)):
            if name.endswith("_") and not name.startswith("_"):
                delattr(fresh, name)
        return fresh

    def _become(self, other: Self) -> Self:
        self.__dict__ = other.__dict__
        return self

    def _fit(self, X: Any, y: Any, class_names: ClassNames | None) -> None:
        self._check_parameters()
        embedded = is_embeddings(X)
        n_samples = len(X) if embedded else len(as_image_sequence(X))
        labels = check_labels(y, n_samples)
        self.unknown_label_ = resolve_unknown_label(self.unknown_label, labels)
        known = (
            np.ones(n_samples, dtype=bool) if self.unknown_label_ is None else labels != self.unknown_label_
        )
        seen = np.unique(labels[known])
        if len(seen) == 0:
            raise InputError(
                f"y has no known class: all {n_samples} labels are unknown_label ({self.unknown_label_!r})."
            )
        vocabulary = build_vocabulary(seen, class_names)
        if self.unknown_label_ is not None and self.unknown_label_ in vocabulary.labels.tolist():
            raise VocabularyError(
                f"unknown_label={self.unknown_label_!r} is also the label of a known class."
            )
        embeddings = self._embed(X, reset=True)[known]
        order = np.argsort(vocabulary.labels, kind="stable")
        targets = order[np.searchsorted(vocabulary.labels, labels[known], sorter=order)]

        random_state = check_random_state(self.random_state)
        train, held_out = self._split(targets, random_state)
        seed = int(random_state.randint(np.iinfo(np.int32).max))
        self._learn(embeddings[train], targets[train], vocabulary.names, seed)
        self.temperature_ = self._backbone().text_tower.temperature
        # Kept so that the threshold can follow the vocabulary.
        self.calibration_embeddings_ = embeddings[held_out]
        self.calibration_names_ = [vocabulary.names[target] for target in targets[held_out]]
        self._set_classes(vocabulary)
        self._calibrate()

    def _split(
        self, targets: np.ndarray, random_state: np.random.RandomState
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows to train on, rows to calibrate on."""
        everything = np.arange(len(targets))
        needed = smallest_calibration_set(self.contamination)
        if self.calibration == "train":
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
        warnings.warn(
            f"{len(targets)} images are too few to hold {needed} out for the threshold, so it comes from "
            "the training images and rejects more of the known classes than `contamination` says. Give "
            "more images, or a larger `contamination`.",
            CalibrationWarning,
            stacklevel=4,
        )
        return everything, everything

    def _set_classes(self, vocabulary: Vocabulary) -> None:
        self.text_bank_ = self._make_bank(vocabulary.names)
        self.classes_ = vocabulary.labels
        self.class_names_ = list(vocabulary.names)

    def _calibrate(self) -> None:
        """Set ``offset_`` from the calibration images; see `set_vocabulary`."""
        scores = self._calibration_scores()
        try:
            self.offset_ = conformal_offset(scores, self.contamination)
        except InputError:
            # Fewer images than the guarantee needs: `_split` has warned, or refused.
            self.offset_ = float(scores.min())

    def _calibration_scores(self) -> np.ndarray:
        names = np.array(self.calibration_names_)
        missing = sorted(set(self.calibration_names_) - set(self.class_names_))
        if not missing:
            return self._score(self.calibration_embeddings_)
        scores = np.empty(len(names))
        stays = ~np.isin(names, missing)
        scores[stays] = self._score(self.calibration_embeddings_[stays])
        k = len(self.class_names_)
        union = self._make_bank([*self.class_names_, *missing])
        for number, name in enumerate(missing):
            rows = names == name
            bank = union.take([*range(k), k + number])
            scores[rows] = self._score(self.calibration_embeddings_[rows], bank)
        return scores

    # How images become scores.

    def _embed(self, X: Any, reset: bool = False) -> np.ndarray:
        """Unit-norm float32 embeddings (n, d) of images or of embeddings."""
        if not is_embeddings(X):
            return self._encode_images(X)
        if hasattr(X, "detach"):
            X = X.detach().cpu().numpy()
        X = validate_data(self, X, reset=reset, dtype=np.float32, ensure_all_finite=False, estimator=self)
        bad = ~np.isfinite(X).all(axis=1)
        if bad.any():
            raise InputError(f"Input X contains NaN or infinity, first in row {int(bad.argmax())}.")
        width = self._backbone().text_tower.embed_dim if reset else self.text_bank_.positive.shape[1]
        if X.shape[1] != width:
            raise InputError(
                f"X has {X.shape[1]} columns, but model={self.model!r} embeds in {width} dimensions."
            )
        norms = np.linalg.norm(X, axis=1, keepdims=True)
        if (norms == 0).any():
            raise InputError(f"row {int((norms == 0).argmax())} of X is all zeros, which has no direction.")
        # Rows that are unit-norm already keep their bits, so that cached embeddings score as their images.
        return np.where(np.abs(norms - 1) < 1e-6, X, X / norms)

    def _closed_set_cosines(self, embeddings: np.ndarray) -> np.ndarray:
        return embeddings @ self.text_bank_.positive.T

    def _score(self, embeddings: np.ndarray, bank: TextBank | None = None) -> np.ndarray:
        bank = self.text_bank_ if bank is None else bank
        rows = max(1, _SCORE_CELLS // (len(bank.positive) + len(bank.negative)))
        chunks = np.split(embeddings, range(rows, len(embeddings), rows))
        return np.concatenate(
            [self._score_cosines(chunk @ bank.positive.T, chunk @ bank.negative.T) for chunk in chunks]
        )
