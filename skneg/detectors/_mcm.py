"""Maximum concept matching, the zero-shot baseline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..bank import TextBank
from ..base import BaseDetector
from ..scores import mcm


class MCMDetector(BaseDetector):
    """Zero-shot OOD detection by maximum concept matching [1]_.

    An image is scored by the largest share of a softmax over its cosines to "a photo of a {name}".
    Nothing is trained; `fit` sets the threshold.

    Parameters
    ----------
    model, pretrained, device, precision
        The CLIP model; see `skneg.backbone.load_backbone`.
    class_names, batch_size, contamination, calibration, calibration_fraction, score_temperature, \
unknown_label, random_state, verbose
        See `NegPromptDetector`.

    Attributes
    ----------
    classes_, class_names_, text_bank_, offset_, temperature_, unknown_label_
        See `NegPromptDetector`; the bank has no negatives.

    References
    ----------
    .. [1] Ming et al., "Delving into Out-of-Distribution Detection with Vision-Language
       Representations", NeurIPS 2022.

    Examples
    --------
    >>> from skneg import MCMDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(120, shapes=["star", "heart", "tree", "key"], random_state=0)
    >>> MCMDetector(model="skneg-tiny", random_state=0).fit(X, y).score_samples(X[:3]).shape
    (3,)
    """

    def _make_bank(self, names: Sequence[str]) -> TextBank:
        prompts = [f"a photo of a {name}" for name in names]
        return TextBank.from_positives(self._backbone().text_tower.encode(prompts))

    def _score_cosines(self, positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
        return mcm(positive, self.score_temperature)
