"""The largest cosine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..scores import max_logit
from ._zero_shot import ZeroShotDetector

if TYPE_CHECKING:
    from .._state import FittedState


class MaxLogitDetector(ZeroShotDetector):
    """The largest cosine [1]_.

    Parameters
    ----------
    model, class_names, contamination, templates, text_bank, unknown_label, pretrained, device, \
precision, batch_size, verbose
        See `MCMDetector`.

    References
    ----------
    .. [1] Hendrycks et al., "Scaling Out-of-Distribution Detection for Real-World Settings", ICML 2022.

    Examples
    --------
    >>> from skneg import MaxLogitDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(40, shapes=["star", "heart"], random_state=0)
    >>> MaxLogitDetector(model="skneg-tiny").fit(X, y).score_samples(X).shape
    (40,)
    """

    reference = "Hendrycks et al., ICML 2022"

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        return state.text_bank_.score(Z, lambda positive, *_: max_logit(positive))
