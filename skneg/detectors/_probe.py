"""What detectors share that score by a linear classifier of embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from .._sklearn import one_at_a_time
from .._softmax import softmax
from .._utils import check_at_least, check_between
from ._features import FeatureDetector, training_rows

if TYPE_CHECKING:
    from .._state import FittedState


class ProbeDetector(FeatureDetector):
    """Base class of detectors on the logits of a logistic regression; see `LinearProbeDetector`.

    The papers take the last layer of a network that was trained on the known classes. An image tower is
    frozen, so this is the classifier that there is.
    """

    def __init__(self, *, C: float = 100.0, max_iter: int = 1000, **shared: Any) -> None:
        super().__init__(**shared)
        self.C = C
        self.max_iter = max_iter

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_probe(self)

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        embeddings, targets = training_rows(learned, names, type(self).__name__)
        return fit_probe(self, embeddings, targets, learned["seed_"])

    def _posterior(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        return softmax(probe_logits(vars(state), Z), axis=1)


def check_probe(detector: Any) -> None:
    """Refuse parameters `C` and `max_iter` that are not usable."""
    check_between("C", detector.C, 0, np.inf)
    check_at_least("max_iter", detector.max_iter, 1, Integral)


def fit_probe(detector: Any, embeddings: np.ndarray, targets: np.ndarray, seed: int) -> dict[str, Any]:
    """Fitted attributes of a logistic regression with a detector's `C` and `max_iter`."""
    from sklearn.linear_model import LogisticRegression

    estimator = LogisticRegression(C=detector.C, max_iter=detector.max_iter, random_state=seed)
    with one_at_a_time():
        estimator.fit(embeddings, targets)
    return {
        "coef_": estimator.coef_,
        "intercept_": estimator.intercept_,
        "n_iter_": int(estimator.n_iter_.max()),
    }


def probe_weights(fitted: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Weights (k, d) and intercepts (k,) of the logits, float64."""
    weights, intercepts = (fitted[name].astype(np.float64) for name in ("coef_", "intercept_"))
    if len(weights) > 1:
        return weights, intercepts
    # Of two classes scikit-learn gives the difference of their logits only.
    halves = np.array([[-0.5], [0.5]])
    return halves * weights, halves[:, 0] * intercepts


def probe_logits(fitted: Mapping[str, Any], Z: np.ndarray) -> np.ndarray:
    """Logits (n, k) of embeddings (n, d), float64."""
    weights, intercepts = probe_weights(fitted)
    return Z.astype(np.float64) @ weights.T + intercepts
