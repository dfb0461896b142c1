"""ReAct on CLIP's embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._validation import check_between
from ..bank import TextBank
from ..scores import energy
from ._text import TextDetector


class ReActDetector(TextDetector):
    """Energy of the cosines of clipped embeddings [1]_.

    Parameters
    ----------
    clip_percentile : float, default=90.0
        Embeddings are clipped from above at this percentile of the training embeddings' values.
    score_temperature : float, default=0.01
        Of the energy; see `EnergyDetector`.
    templates, text_bank, class_names, model, pretrained, device, precision, batch_size, \
contamination, unknown_label, random_state, verbose
        See `MCMDetector`.
    calibration, calibration_fraction
        See `NegPromptDetector`: the percentile is learned, so images are held out for the threshold.

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

    _learns = True

    def __init__(
        self, *, clip_percentile: float = 90.0, score_temperature: float = 0.01, **shared: Any
    ) -> None:
        super().__init__(score_temperature=score_temperature, **shared)
        self.clip_percentile = clip_percentile

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_between("clip_percentile", self.clip_percentile, 0, 100)

    def _learn(self, embeddings: np.ndarray, targets: np.ndarray, names: Sequence[str], seed: int) -> None:
        self.clip_value_ = float(np.percentile(embeddings, self.clip_percentile))

    def _score(self, Z: np.ndarray, bank: TextBank | None = None) -> np.ndarray:
        return super()._score(np.minimum(Z, np.float32(self.clip_value_)), bank)

    def _score_cosines(self, positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
        return energy(positive, self.score_temperature)
