"""Detectors of embeddings alone, on scikit-learn's estimators: linear probe, neighbours, Mahalanobis."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from .._validation import check_at_least, check_between, check_option
from ..bank import TextBank
from ..base import BaseDetector
from ..errors import VocabularyError
from ..scores import energy, max_logit, mcm
from ..vocabulary import Vocabulary
from ._choice import ScoreChoiceMixin


class FeatureDetector(BaseDetector):
    """Base class of detectors that know a class by its images; names are labels only.

    The bank's positives are the unit-norm class means. `set_vocabulary` can drop classes, and bring
    them back, but not add any.
    """

    _reads_names = False

    def _learn(self, embeddings: np.ndarray, targets: np.ndarray, names: Sequence[str], seed: int) -> None:
        self._seed = seed
        present = np.unique(targets)
        if len(present) < len(names):
            absent = next(name for i, name in enumerate(names) if i not in present)
            raise VocabularyError(
                f"class {absent!r} has no images, and {type(self).__name__} knows a class by its images."
            )
        self.train_embeddings_ = embeddings
        self.train_names_ = np.array([names[target] for target in targets])

    def _make_bank(self, names: Sequence[str]) -> TextBank:
        unknown = [name for name in names if name not in self.train_names_]
        if unknown:
            raise VocabularyError(
                f"{type(self).__name__} knows classes by their images and has none of {unknown[0]!r}; "
                "fit again with images of it."
            )
        means = np.stack([self.train_embeddings_[self.train_names_ == name].mean(axis=0) for name in names])
        return TextBank.from_positives(means / np.linalg.norm(means, axis=1, keepdims=True))

    def _set_classes(self, vocabulary: Vocabulary) -> None:
        super()._set_classes(vocabulary)
        self._fit_estimator(*self._training_rows(vocabulary.names))

    def _training_rows(self, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings of the named classes' training images, and which name each has."""
        rows = np.isin(self.train_names_, names)
        order = {name: i for i, name in enumerate(names)}
        return self.train_embeddings_[rows], np.array([order[name] for name in self.train_names_[rows]])

    def _fit_estimator(self, embeddings: np.ndarray, targets: np.ndarray) -> None:
        raise NotImplementedError

    def _bank_with(self, names: Sequence[str]) -> TextBank | None:
        return None

    def _model_temperature(self) -> float:
        return 1.0

    def _model_width(self) -> int | None:
        return None  # any embeddings will do


class LinearProbeDetector(ScoreChoiceMixin, FeatureDetector):
    """Logistic regression on embeddings, and a score of its logits.

    The "CLIP-based posthoc" baselines of the NegPrompt paper: a linear classifier on frozen features
    with MSP, MaxLogit, Energy or ReAct.

    Parameters
    ----------
    score : {"msp", "max_logit", "energy", "react"}, default="msp"
        ``"react"`` is the energy of the logits of clipped embeddings [1]_.
    C : float, default=100.0
        Inverse strength of the L2 penalty, on unit-norm embeddings.
    max_iter : int, default=1000
        Of the solver.
    clip_percentile : float, default=90.0
        For ``"react"``: embeddings are clipped at this percentile of the training embeddings' values.
    score_temperature : float, default=1.0
        What logits are divided by.
    class_names, model, pretrained, device, precision, batch_size, contamination, calibration, \
calibration_fraction, unknown_label, random_state, verbose
        See `NegPromptDetector`. Class names are not needed, and no model is loaded while images come as
        embeddings, of any width.

    Attributes
    ----------
    coef_ : ndarray of shape (k, d)
        Weights of the logits; of two classes (1, d), the second class's against the first.
    intercept_ : ndarray of shape (k,) or (1,)
    n_iter_ : int
        Iterations of the solver.
    clip_value_ : float
        Where ``"react"`` clips.

    References
    ----------
    .. [1] Sun et al., "ReAct: Out-of-distribution Detection With Rectified Activations", NeurIPS 2021.

    Examples
    --------
    >>> from skneg import LinearProbeDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(100, shapes=["star", "heart"], random_state=0)
    >>> LinearProbeDetector(model="skneg-tiny", random_state=0).fit(X, y).predict_proba(X).shape
    (100, 2)
    """

    def __init__(
        self,
        *,
        score: str = "msp",
        C: float = 100.0,
        max_iter: int = 1000,
        clip_percentile: float = 90.0,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.score = score
        self.C = C
        self.max_iter = max_iter
        self.clip_percentile = clip_percentile

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_option("score", self._chosen_score, ("msp", "max_logit", "energy", "react"))
        check_between("C", self.C, 0, np.inf)
        check_between("clip_percentile", self.clip_percentile, 0, 100)
        check_at_least("max_iter", self.max_iter, 1, Integral)

    def _fit_estimator(self, embeddings: np.ndarray, targets: np.ndarray) -> None:
        self.clip_value_ = float(np.percentile(embeddings, self.clip_percentile))
        estimator = LogisticRegression(C=self.C, max_iter=self.max_iter, random_state=self._seed)
        estimator.fit(embeddings, targets)
        self.coef_, self.intercept_ = estimator.coef_, estimator.intercept_
        self.n_iter_ = int(estimator.n_iter_.max())

    def _logits(self, embeddings: np.ndarray) -> np.ndarray:
        logits = (embeddings @ self.coef_.T + self.intercept_).astype(np.float64)
        # Of two classes scikit-learn gives the difference of their logits only.
        return np.hstack([-logits / 2, logits / 2]) if logits.shape[1] == 1 else logits

    def _score(self, Z: np.ndarray, bank: TextBank | None = None) -> np.ndarray:
        chosen, temperature = self._chosen_score, self.score_temperature
        if chosen == "react":
            return energy(self._logits(np.minimum(Z, self.clip_value_)), temperature)
        if chosen == "energy":
            return energy(self._logits(Z), temperature)
        return max_logit(self._logits(Z)) if chosen == "max_logit" else mcm(self._logits(Z), temperature)

    def _posterior(self, Z: np.ndarray) -> np.ndarray:
        return softmax(self._logits(Z), axis=1)


class KNNDetector(FeatureDetector):
    """Distance to the k-th nearest training embedding [1]_.

    Parameters
    ----------
    n_neighbors : int, default=10
        k; at most the number of training embeddings is used.
    class_names, model, pretrained, device, precision, batch_size, contamination, calibration, \
calibration_fraction, unknown_label, random_state, verbose
        See `NegPromptDetector`. Class names are not needed, and no model is loaded while images come as
        embeddings, of any width.
    score_temperature : float, default=1.0
        Without effect: distances have no temperature.

    Attributes
    ----------
    estimator_ : KNeighborsClassifier
        Also gives `predict_proba`: the share of each class among the neighbours, weighted by 1 / distance.

    References
    ----------
    .. [1] Sun et al., "Out-of-Distribution Detection with Deep Nearest Neighbors", ICML 2022.

    Examples
    --------
    >>> from skneg import KNNDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(100, shapes=["star", "heart"], random_state=0)
    >>> KNNDetector(model="skneg-tiny", random_state=0).fit(X, y).score_samples(X).shape
    (100,)
    """

    def __init__(self, *, n_neighbors: int = 10, **shared: Any) -> None:
        super().__init__(**shared)
        self.n_neighbors = n_neighbors

    _remade = ("text_bank_", "estimator_")

    def _remake(self) -> None:
        super()._remake()
        self._fit_estimator(*self._training_rows(self.class_names_))

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_at_least("n_neighbors", self.n_neighbors, 1, Integral)

    def _fit_estimator(self, embeddings: np.ndarray, targets: np.ndarray) -> None:
        k = min(self.n_neighbors, len(embeddings))
        # Weighted, or few shots of few classes would be one great tie.
        self.estimator_ = KNeighborsClassifier(k, weights="distance", algorithm="brute")
        self.estimator_.fit(embeddings, targets)

    def _score(self, Z: np.ndarray, bank: TextBank | None = None) -> np.ndarray:
        if len(Z) == 0:
            return np.empty(0)
        return -self.estimator_.kneighbors(Z)[0][:, -1].astype(np.float64)

    def _posterior(self, Z: np.ndarray) -> np.ndarray:
        return self.estimator_.predict_proba(Z).astype(np.float64)


class MahalanobisDetector(FeatureDetector):
    """Mahalanobis distance to the nearest class mean, under one shared covariance [1]_.

    Parameters
    ----------
    class_names, model, pretrained, device, precision, batch_size, contamination, calibration, \
calibration_fraction, unknown_label, random_state, verbose
        See `NegPromptDetector`. Class names are not needed, and no model is loaded while images come as
        embeddings, of any width.
    score_temperature : float, default=1.0
        Without effect: distances have no temperature.

    Attributes
    ----------
    means_ : ndarray of shape (k, d)
    precision_ : ndarray of shape (d, d)
        Inverse of the shrunk covariance (Ledoit and Wolf) of the embeddings about their class means.

    References
    ----------
    .. [1] Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution Samples and
       Adversarial Attacks", NeurIPS 2018.

    Examples
    --------
    >>> from skneg import MahalanobisDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(100, shapes=["star", "heart"], random_state=0)
    >>> MahalanobisDetector(model="skneg-tiny", random_state=0).fit(X, y).score_samples(X).shape
    (100,)
    """

    def _fit_estimator(self, embeddings: np.ndarray, targets: np.ndarray) -> None:
        k = int(targets.max()) + 1
        self.means_ = np.stack([embeddings[targets == i].mean(axis=0, dtype=np.float64) for i in range(k)])
        centred = embeddings - self.means_[targets]
        self.precision_ = LedoitWolf(assume_centered=True).fit(centred).precision_

    def _distances(self, Z: np.ndarray) -> np.ndarray:
        """Squared distances (n, k)."""
        gaps = (Z - mean for mean in self.means_)
        return np.stack(
            [np.einsum("nd,de,ne->n", gap, self.precision_, gap, optimize=True) for gap in gaps], axis=1
        )

    def _score(self, Z: np.ndarray, bank: TextBank | None = None) -> np.ndarray:
        return -self._distances(Z).min(axis=1)

    def _posterior(self, Z: np.ndarray) -> np.ndarray:
        return softmax(-self._distances(Z) / 2, axis=1)
