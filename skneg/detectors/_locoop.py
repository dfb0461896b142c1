"""LoCoOp: prompts that learn to be unsure of background patches."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils import check_at_least
from ._coop import CoOpDetector, learn_coop
from ._patches import global_local_mcm, need_patches

if TYPE_CHECKING:
    from .._state import FittedState


class LoCoOpDetector(CoOpDetector):
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
    recipe, score_temperature
        See `CoOpDetector`.
    model, class_names, contamination, random_state, calibration, unknown_label, pretrained, device, \
precision, batch_size, verbose
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
    >>> from skneg.prompts import CoOpRecipe
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(100, shapes=["star", "heart"], random_state=0)
    >>> detector = LoCoOpDetector(model="skneg-tiny", recipe=CoOpRecipe(n_epochs=2), random_state=0)
    >>> detector.fit(X, y).score_samples(X).shape
    (100,)
    """

    needs = "local features"
    reference = "Miyai et al., NeurIPS 2023"
    self_calibrated = False
    """Whether the terms follow the model's confidence, as in SCT."""

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

    def _learn(self, Z: Any, targets: Any, names: Sequence[str], seed: int, groups: Any) -> dict[str, Any]:
        from ..prompts.coop import locoop_loss

        top_k = self.top_k
        if top_k is None:
            top_k = max(1, round(0.2 * len(np.unique(targets))))  # type: ignore[arg-type]
        loss = locoop_loss(self.entropy_weight, top_k, self.self_calibrated)
        return learn_coop(self, Z, targets, names, seed, loss=loss)

    def _represent(self, images: Any) -> np.ndarray:
        need_patches(self, images)
        return super()._represent(images)

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        return global_local_mcm(state.text_bank_, Z, self.score_temperature, self.local_weight)

    def _posterior(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        return super()._posterior(state, Z[:, 0])
