"""Maximum softmax probability at CLIP's own temperature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..scores import mcm
from ._zero_shot import ZeroShotDetector

if TYPE_CHECKING:
    from .._state import FittedState


class MSPDetector(ZeroShotDetector):
    """Maximum softmax probability [1]_ at CLIP's own temperature.

    Parameters
    ----------
    score_temperature : float, default=0.01
        What cosines are divided by; CLIP's logit scale. At 1 this is `MCMDetector`.
    model, class_names, contamination, templates, text_bank, unknown_label, pretrained, device, \
precision, batch_size, verbose
        See `MCMDetector`.

    References
    ----------
    .. [1] Hendrycks and Gimpel, "A Baseline for Detecting Misclassified and Out-of-Distribution
       Examples in Neural Networks", ICLR 2017.

    Examples
    --------
    >>> from skneg import MSPDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(40, shapes=["star", "heart"], random_state=0)
    >>> MSPDetector(model="skneg-tiny").fit(X, y).score_samples(X).shape
    (40,)
    """

    reference = "Hendrycks and Gimpel, ICLR 2017"

    def __init__(self, *, score_temperature: float = 0.01, **shared: Any) -> None:
        super().__init__(**shared)
        self.score_temperature = score_temperature

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        return state.text_bank_.score(Z, lambda positive, *_: mcm(positive, self.score_temperature))
