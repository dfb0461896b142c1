"""A linear probe on embeddings, with the classical scores of its logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils import check_between, check_option
from ..scores import energy, max_logit, mcm
from ._features import training_rows
from ._probe import ProbeDetector, probe_logits

if TYPE_CHECKING:
    from .._state import FittedState


class LinearProbeDetector(ProbeDetector):
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
        clip_percentile: float = 90.0,
        score_temperature: float = 1.0,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.score_func = score_func
        self.clip_percentile = clip_percentile
        self.score_temperature = score_temperature

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_option("score_func", self.score_func, ("msp", "max_logit", "energy", "react"))
        check_between("clip_percentile", self.clip_percentile, 0, 100)

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        embeddings, _ = training_rows(learned, names, type(self).__name__)
        clip_value = float(np.percentile(embeddings, self.clip_percentile))
        return {"clip_value_": clip_value, **super()._prepare(learned, names)}

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        chosen, temperature = self.score_func, self.score_temperature
        clipped = np.minimum(Z, state.clip_value_) if chosen == "react" else Z
        logits = probe_logits(vars(state), clipped)
        if chosen == "max_logit":
            return max_logit(logits)
        return mcm(logits, temperature) if chosen == "msp" else energy(logits, temperature)
