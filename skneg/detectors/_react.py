"""ReAct on CLIP's embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils import check_between
from ..scores import energy
from ._zero_shot import ZeroShotDetector

if TYPE_CHECKING:
    from .._state import FittedState


class ReActDetector(ZeroShotDetector):
    """Energy of the cosines of clipped embeddings [1]_.

    Parameters
    ----------
    clip_percentile : float, default=90.0
        Embeddings are clipped from above at this percentile of the training embeddings' values.
    score_temperature : float, default=0.01
        Of the energy; see `EnergyDetector`.
    calibration, random_state
        See `NegPromptDetector`: the percentile is learned, so it is cross-fitted for the threshold.
    model, class_names, contamination, templates, text_bank, unknown_label, pretrained, device, \
precision, batch_size, verbose
        See `MCMDetector`.

    Attributes
    ----------
    clip_value_ : float
        Where embeddings are clipped.

    References
    ----------
    .. [1] Sun et al., "ReAct: Out-of-distribution Detection With Rectified Activations", NeurIPS 2021.

    Examples
    --------
    >>> from skneg import ReActDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(100, shapes=["star", "heart"], random_state=0)
    >>> ReActDetector(model="skneg-tiny", random_state=0).fit(X, y).clip_value_ < 1
    True
    """

    training = "features"
    reference = "Sun et al., NeurIPS 2021"

    def __init__(
        self,
        *,
        clip_percentile: float = 90.0,
        score_temperature: float = 0.01,
        calibration: str | float = "auto",
        random_state: Any = None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.clip_percentile = clip_percentile
        self.score_temperature = score_temperature
        self.calibration = calibration
        self.random_state = random_state

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_between("clip_percentile", self.clip_percentile, 0, 100)

    def _learn(self, Z: Any, targets: Any, names: Sequence[str], seed: int, groups: Any) -> dict[str, Any]:
        return {"clip_value_": float(np.percentile(Z, self.clip_percentile))}

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        clipped = np.minimum(Z, np.float32(state.clip_value_))
        return state.text_bank_.score(clipped, lambda positive, *_: energy(positive, self.score_temperature))
