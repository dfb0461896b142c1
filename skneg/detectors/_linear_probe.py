"""A linear probe on embeddings, with the classical scores of its logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from .._sklearn import one_at_a_time
from .._softmax import softmax
from .._utils import check_at_least, check_between, check_option
from ..scores import energy, max_logit, mcm
from ._features import FeatureDetector, training_rows

if TYPE_CHECKING:
    from .._state import FittedState


class LinearProbeDetector(FeatureDetector):
    """Logistic regression on embeddings, and a score of its logits.

    The "CLIP-based posthoc" baselines of the NegPrompt paper: a linear classifier on frozen features
    with MSP, MaxLogit, Energy or ReAct.

    Parameters
    ----------
    score_func : {"msp", "max_logit", "energy", "react"}, default="msp"
        ``"react"`` is the energy of the logits of clipped embeddings [1]_.
    C : float, default=100.0
        Inverse strength of the L2 penalty, on unit-norm embeddings.
    max_iter : int, default=1000
        Of the solver.
    clip_percentile : float, default=90.0
        For ``"react"``: embeddings are clipped at this percentile of the training embeddings' values.
    score_temperature : float, default=1.0
        What logits are divided by.
    model, class_names, contamination, random_state, calibration, unknown_label, pretrained, device, \
precision, batch_size, verbose
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

    reference = "CLIP-based posthoc of Li et al., CVPR 2024"

    def __init__(
        self,
        *,
        score_func: str = "msp",
        C: float = 100.0,
        max_iter: int = 1000,
        clip_percentile: float = 90.0,
        score_temperature: float = 1.0,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.score_func = score_func
        self.C = C
        self.max_iter = max_iter
        self.clip_percentile = clip_percentile
        self.score_temperature = score_temperature

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_option("score_func", self.score_func, ("msp", "max_logit", "energy", "react"))
        check_between("C", self.C, 0, np.inf)
        check_between("clip_percentile", self.clip_percentile, 0, 100)
        check_at_least("max_iter", self.max_iter, 1, Integral)

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        from sklearn.linear_model import LogisticRegression

        embeddings, targets = training_rows(learned, names, type(self).__name__)
        estimator = LogisticRegression(C=self.C, max_iter=self.max_iter, random_state=learned["seed_"])
        with one_at_a_time():
            estimator.fit(embeddings, targets)
        return {
            "clip_value_": float(np.percentile(embeddings, self.clip_percentile)),
            "coef_": estimator.coef_,
            "intercept_": estimator.intercept_,
            "n_iter_": int(estimator.n_iter_.max()),
        }

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        chosen, temperature = self.score_func, self.score_temperature
        if chosen == "react":
            return energy(_logits(state, np.minimum(Z, state.clip_value_)), temperature)
        if chosen == "energy":
            return energy(_logits(state, Z), temperature)
        return max_logit(_logits(state, Z)) if chosen == "max_logit" else mcm(_logits(state, Z), temperature)

    def _posterior(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        return softmax(_logits(state, Z), axis=1)


def _logits(state: FittedState, Z: np.ndarray) -> np.ndarray:
    logits = Z.astype(np.float64) @ state.coef_.T + state.intercept_
    # Of two classes scikit-learn gives the difference of their logits only.
    return np.hstack([-logits / 2, logits / 2]) if logits.shape[1] == 1 else logits
