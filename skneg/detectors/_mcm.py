"""Maximum concept matching, the zero-shot baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..scores import mcm
from ._zero_shot import ZeroShotDetector

if TYPE_CHECKING:
    from .._state import FittedState


class MCMDetector(ZeroShotDetector):
    """Zero-shot OOD detection by maximum concept matching [1]_.

    An image is scored by the largest share of a softmax over its cosines to the class prompts. Nothing
    is trained; `fit` sets the threshold, and needs no labels.

    Parameters
    ----------
    model, pretrained, device, precision
        The CLIP model; see `skneg.backbone.load_backbone`.
    class_names, contamination, unknown_label, batch_size, verbose
        See `NegPromptDetector`. All images given to `fit` set the threshold, as nothing is trained.
    templates : str or sequence of str, default="a photo of a {}"
        Prompts around the class name; the embeddings of several are averaged.
    text_bank : TextBank or array-like of shape (k, d), optional
        Ready text embeddings of the classes, in the order of ``classes_``; no text tower is used then,
        and no model is loaded while images come as embeddings.
    score_temperature : float, default=1.0
        What cosines are divided by in the score.

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
    >>> names = ["star", "heart", "tree", "key"]
    >>> X, y = make_scenes(40, shapes=names, random_state=0)
    >>> detector = MCMDetector(model="skneg-tiny").fit(X, class_names=names)
    >>> float((detector.predict(X) == y).mean()) > 0.8
    True
    """

    reference = "Ming et al., NeurIPS 2022"

    def __init__(self, *, score_temperature: float = 1.0, **shared: Any) -> None:
        super().__init__(**shared)
        self.score_temperature = score_temperature

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        return state.text_bank_.score(Z, lambda positive, *_: mcm(positive, self.score_temperature))
