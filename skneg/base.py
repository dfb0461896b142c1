"""The estimator face that all detectors share: input, labels, vocabulary, threshold, prediction."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ._compat import DocumentedMixin
from ._signature import SharedParametersMixin
from ._validation import check_at_least, check_between, check_option, check_seed
from .bank import TextBank
from .calibration import CalibrationMixin
from .embedding import EmbeddingMixin, check_embeddings, unit_rows
from .errors import InputError, VocabularyError
from .explanation import ExplanationMixin
from .images import as_image_sequence, is_embeddings
from .metrics import register_scorers
from .persistence._mixin import SavingMixin
from .scores import class_posterior
from .vocabulary import (
    ClassNames,
    Vocabulary,
    build_vocabulary,
    check_labels,
    mark_unknown,
    name_classes,
    replace_vocabulary,
    resolve_unknown_label,
)

if TYPE_CHECKING:
    from .backbone import Backbone

# Whoever has a detector may say scoring="ood_auroc".
register_scorers()

_SCORE_CELLS = 2**24  # cosines alive at a time while scoring: 128 MiB in float64


class BaseDetector(
    SharedParametersMixin,
    DocumentedMixin,
    SavingMixin,
    CalibrationMixin,
    ExplanationMixin,
    ClassifierMixin,
    EmbeddingMixin,
    BaseEstimator,
):
    """Base class of the detectors; a subclass says how its bank is made and which score it uses.

    Subclasses implement `_make_bank` and `_score_cosines`, and `_learn` where they train; those that see
    more of an image than its embedding, or score it in another way, also `_represent`, `_score` and
    `_posterior`. Every public method that changes the detector works on a copy first, so that an error
    leaves it as it was.
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

    def fit(self, X: Any, y: Any = None, class_names: ClassNames | None = None) -> Self:
        """Learn from a few images of each known class.

        Parameters
        ----------
        X : sequence of images, or array-like of shape (n, d) of floats
            Paths, bytes, Pillow images or uint8 arrays in a list, 1-D array or Series; one uint8 array
            (n, height, width, channels); one tensor (n, 3, height, width), uint8 pixels or floats that
            are already preprocessed; or embeddings.
        y : array-like of shape (n,)
            A label for each image: integers or strings. Rows labelled `unknown_label` are not used.
            Detectors that do not learn from images work without it, given `class_names`.
        class_names : sequence of str or mapping of label to str, optional
            What the text tower reads; the constructor's `class_names` by default. String labels name
            themselves without it. In a sequence, position i names ``classes_[i]``; in one that is
            longer than the labels seen, it names integer label i, and the extra names are classes
            without images. String labels that are themselves among the names keep their own. Where
            labels do not count from 0, a mapping is safer: a fold that lacks a class changes which
            rule applies.

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
        fitted._check_parameters()
        names = self.class_names if class_names is None else class_names
        if y is None and not self._learns:
            fitted._fit_unlabelled(X, names)
        else:
            fitted._fit(X, y, names)
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
        Z = self._represent(X)
        labels = self.classes_[self._posterior(Z).argmax(axis=1)]
        if self.unknown_label_ is None:
            return labels
        return mark_unknown(labels, self._score(Z) < self.offset_, self.unknown_label_)

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
        return self._posterior(self._represent(X))

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
        return self._score(self._represent(X))

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
        return self._score(self._represent(X)) - self.offset_

    def set_vocabulary(self, class_names: ClassNames) -> Self:
        """Replace the known classes: no images, no training, only their names through the text tower.

        Constructor parameters stay as they are. ``offset_`` is computed anew from the calibration
        images kept from `fit`: each is scored in the new vocabulary with its own class added where it
        is missing. Where all their classes stay, that is the same split-conformal threshold; where
        they go, it carries the old classes' false-alarm rate over, a good guess without a guarantee;
        `calibrate` with images of the new classes gives one.

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
        changed.calibration_names_ = self._calibration_names_beside(vocabulary.names)
        changed._calibrate()
        return self._become(changed)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # Paths. `one_d_array` stays False: to scikit-learn it means that there are no 2-D arrays.
        tags.input_tags.string = True
        tags.target_tags.required = self._learns
        # Zero-shot knowledge of pictures is of no use on the points by which scikit-learn measures.
        tags.classifier_tags.poor_score = self._reads_names
        return tags

    # What a subclass says of itself.

    # Name of the model that `fit` has used; None where embeddings and a ready bank needed none.
    backbone_: str | None = None

    # Large, and a function of the names and what was learned.
    _remade: ClassVar[tuple[str, ...]] = ("text_bank_",)

    # Whether class names mean anything to the detector; labels will do where they do not.
    _reads_names = True

    def _learn(self, embeddings: np.ndarray, targets: np.ndarray, names: Sequence[str], seed: int) -> None:
        """Train on unit-norm `embeddings` (n, d) with class numbers `targets`; sets fitted attributes."""

    @abstractmethod
    def _make_bank(self, names: Sequence[str]) -> TextBank:
        """The bank of a vocabulary, from what `_learn` has set."""

    def _score_cosines(self, positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
        """Scores (n,) of cosines (n, k) to the positives and (n, m) to the negatives."""
        raise TypeError(f"{type(self).__name__} must define _score_cosines or _score")

    def _represent(self, X: Any, reset: bool = False) -> Any:
        """What the detector sees of each image: its embedding, unless a subclass needs more."""
        return self._embed(X, reset)

    def _posterior(self, Z: Any) -> np.ndarray:
        """Closed-set class posterior (n, k) of represented images."""
        return class_posterior(Z @ self.text_bank_.positive.T, self.temperature_)

    def _model_temperature(self) -> float:
        return self._backbone().text_tower.temperature

    def _model_width(self) -> int | None:
        """Number of columns that embeddings must have; None where any will do."""
        return self._backbone().text_tower.embed_dim

    def _check_parameters(self) -> None:
        check_at_least("batch_size", self.batch_size, 1, Integral)
        check_between("contamination", self.contamination, 0, 1)
        check_between("calibration_fraction", self.calibration_fraction, 0, 1)
        self._check_score_temperature()
        check_seed(self.random_state)
        check_option("calibration", self.calibration, ("auto", "holdout", "train"))

    def _check_score_temperature(self) -> None:
        check_between("score_temperature", self.score_temperature, 0, np.inf)

    # How fitting goes.

    def _unfitted_copy(self) -> Self:
        fresh = copy.copy(self)
        for name in list(vars(fresh)):
            if name.endswith("_") and not name.startswith("_"):
                delattr(fresh, name)
        return fresh

    def _backbone(self) -> Backbone:
        backbone = super()._backbone()
        if not hasattr(self, "classes_"):  # while fitting
            self.backbone_ = backbone.name
        return backbone

    def _remake(self) -> None:
        self.text_bank_ = self._make_bank(self.class_names_)

    def _become(self, other: Self) -> Self:
        self.__dict__ = other.__dict__
        return self

    def _fit_unlabelled(self, X: Any, class_names: ClassNames | None) -> None:
        if class_names is None:
            raise VocabularyError("without y, class_names must say which classes are known.")
        vocabulary = name_classes(class_names)
        self.unknown_label_ = resolve_unknown_label(self.unknown_label, vocabulary.labels)
        Z = self._represent(X, reset=True)
        self._finish_fit(vocabulary, Z, None)

    def _fit(self, X: Any, y: Any, class_names: ClassNames | None) -> None:
        n_samples = self._count(X)
        if n_samples == 0:
            raise InputError("X holds no images (found array with 0 sample(s)); at least 1 is required.")
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
        if class_names is None and not self._reads_names:
            class_names = {label: str(label) for label in seen.tolist()}
        vocabulary = build_vocabulary(seen, class_names)
        Z = self._rows(self._represent(X, reset=True), np.flatnonzero(known))
        order = np.argsort(vocabulary.labels, kind="stable")
        targets = order[np.searchsorted(vocabulary.labels, labels[known], sorter=order)]

        random_state = check_random_state(self.random_state)
        train, held_out = self._split(targets, random_state)
        seed = int(random_state.randint(np.iinfo(np.int32).max))
        self._learn(self._rows(Z, train), targets[train], vocabulary.names, seed)
        names = [vocabulary.names[target] for target in targets[held_out]]
        self._finish_fit(vocabulary, self._rows(Z, held_out), names)

    def _finish_fit(self, vocabulary: Vocabulary, Z: Any, names: list[str] | None) -> None:
        self.temperature_ = self._model_temperature()
        # Kept so that the threshold can follow the vocabulary.
        self.calibration_embeddings_ = Z
        self.calibration_names_ = names
        self._set_classes(vocabulary)
        self._calibrate()

    def _count(self, X: Any) -> int:
        return len(X) if is_embeddings(X) else len(as_image_sequence(X))

    def _rows(self, Z: Any, rows: np.ndarray) -> Any:
        """Some of the represented images, in memory."""
        return Z[rows]

    def _set_classes(self, vocabulary: Vocabulary) -> None:
        if self.unknown_label_ is not None and self.unknown_label_ in vocabulary.labels.tolist():
            raise VocabularyError(
                f"unknown_label={self.unknown_label_!r} is also the label of a known class."
            )
        self.text_bank_ = self._make_bank(vocabulary.names)
        self._note_parameters()
        self.classes_ = vocabulary.labels
        self.class_names_ = list(vocabulary.names)

    # How images become scores.

    def _embed(self, X: Any, reset: bool = False) -> np.ndarray:
        """Unit-norm float32 embeddings (n, d) of images or of embeddings."""
        if not is_embeddings(X):
            return self._encode_images(X)
        X = check_embeddings(self, X, reset)
        width = self._model_width() if reset else self.text_bank_.positive.shape[1]
        if width is not None and X.shape[1] != width:
            raise InputError(
                f"X has {X.shape[1]} columns, but model={self.model!r} embeds in {width} dimensions."
            )
        return unit_rows(X)

    def _score(self, Z: Any, bank: TextBank | None = None) -> np.ndarray:
        """Scores (n,) of represented images, against the detector's bank or another."""
        bank = self.text_bank_ if bank is None else bank
        negative = np.concatenate([bank.negative, bank.common]) if len(bank.common) else bank.negative
        rows = max(1, _SCORE_CELLS // (len(bank.positive) + len(negative)))
        chunks = np.split(Z, range(rows, len(Z), rows))
        return np.concatenate(
            [self._score_cosines(chunk @ bank.positive.T, chunk @ negative.T) for chunk in chunks]
        )
