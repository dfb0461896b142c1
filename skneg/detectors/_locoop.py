"""LoCoOp and SCT: prompts that learn to be unsure of background patches."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from .._validation import check_at_least
from ._coop import CoOpDetector
from ._local import LocalFeaturesMixin


class LoCoOpDetector(LocalFeaturesMixin, CoOpDetector):
    """CoOp with an entropy term on background patches [1]_, scored by GL-MCM.

    Parameters
    ----------
    entropy_weight : float, default=0.25
        Weight of the entropy of background patches.
    top_k : int, optional
        A patch is background where the image's class is not among its `top_k` likeliest; a fifth of the
        classes by default (200 of 1,000, as published).
    local_weight : float, default=1.0
        Weight of the patches in the score (GL-MCM); 0 scores by MCM alone.
    n_ctx, context_init, n_epochs, learning_rate, train_batch_size, train_temperature, score_temperature
        See `CoOpDetector`.
    class_names, model, pretrained, device, precision, batch_size, contamination, calibration, \
calibration_fraction, unknown_label, random_state, verbose
        See `NegPromptDetector`. The model's image tower must have local features.

    Attributes
    ----------
    positive_context_, history_, classes_, class_names_, text_bank_, offset_
        See `CoOpDetector`.

    References
    ----------
    .. [1] Miyai et al., "LoCoOp: Few-Shot Out-of-Distribution Detection via Prompt Learning",
       NeurIPS 2023.

    Examples
    --------
    >>> from skneg import LoCoOpDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(100, shapes=["star", "heart"], random_state=0)
    >>> LoCoOpDetector(model="skneg-tiny", n_epochs=2, random_state=0).fit(X, y).score_samples(X).shape
    (100,)
    """

    _self_calibrated = False

    def __init__(
        self,
        *,
        entropy_weight: float = 0.25,
        top_k: int | None = None,
        local_weight: float = 1.0,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.entropy_weight = entropy_weight
        self.top_k = top_k
        self.local_weight = local_weight

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_at_least("entropy_weight", self.entropy_weight, 0)
        check_at_least("local_weight", self.local_weight, 0)
        if self.top_k is not None:
            check_at_least("top_k", self.top_k, 1, Integral)

    def _training_options(self, n_classes: int) -> dict[str, Any]:
        from ..prompts.coop import locoop_loss

        top_k = max(1, round(0.2 * n_classes)) if self.top_k is None else self.top_k
        return {"loss": locoop_loss(self.entropy_weight, top_k, self._self_calibrated)}


class SCTDetector(LoCoOpDetector):
    """Self-calibrated tuning [1]_: LoCoOp whose terms follow the model's confidence.

    An image's cross-entropy is weighted by 1 - p and its background entropy by p, p being the
    probability of its class: patches are only trusted as background where the image is understood.

    Parameters
    ----------
    entropy_weight, top_k, local_weight
        See `LoCoOpDetector`.
    n_ctx, context_init, n_epochs, learning_rate, train_batch_size, train_temperature, score_temperature
        See `CoOpDetector`.
    class_names, model, pretrained, device, precision, batch_size, contamination, calibration, \
calibration_fraction, unknown_label, random_state, verbose
        See `NegPromptDetector`. The model's image tower must have local features.

    References
    ----------
    .. [1] Yu et al., "Self-Calibrated Tuning of Vision-Language Models for Out-of-Distribution
       Detection", NeurIPS 2024.

    Examples
    --------
    >>> from skneg import SCTDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(100, shapes=["star", "heart"], random_state=0)
    >>> SCTDetector(model="skneg-tiny", n_epochs=2, random_state=0).fit(X, y).score_samples(X).shape
    (100,)
    """

    _self_calibrated = True
