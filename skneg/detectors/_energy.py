"""The energy of the cosines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..scores import energy
from ._zero_shot import ZeroShotDetector

if TYPE_CHECKING:
    from .._state import FittedState


class EnergyDetector(ZeroShotDetector):
    """Negative free energy of the cosines [1]_.

    Parameters
    ----------
    score_temperature : float, default=0.01
        T in ``T logsumexp(z / T)``. CLIP code bases use 0.01 (energy of the model's own logits, as
        here) or 1 (energy of raw cosines, close to their mean); the two order images differently.
    model, class_names, contamination, templates, text_bank, unknown_label, pretrained, device, \
precision, batch_size, verbose
        See `MCMDetector`.

    References
    ----------
    .. [1] Liu et al., "Energy-based Out-of-distribution Detection", NeurIPS 2020.

    Examples
    --------
    >>> from skneg import EnergyDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(40, shapes=["star", "heart"], random_state=0)
    >>> EnergyDetector(model="skneg-tiny").fit(X, y).score_samples(X).shape
    (40,)
    """

    reference = "Liu et al., NeurIPS 2020"

    def __init__(self, *, score_temperature: float = 0.01, **shared: Any) -> None:
        super().__init__(**shared)
        self.score_temperature = score_temperature

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        return state.text_bank_.score(Z, lambda positive, *_: energy(positive, self.score_temperature))
