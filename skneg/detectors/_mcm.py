"""Maximum concept matching, the zero-shot baseline."""

from __future__ import annotations

import numpy as np

from ..scores import mcm
from ._text import TextDetector


class MCMDetector(TextDetector):
    """Zero-shot OOD detection by maximum concept matching [1]_.

    An image is scored by the largest share of a softmax over its cosines to the class prompts. Nothing
    is trained; `fit` sets the threshold, and needs no labels.

    Parameters
    ----------
    model, pretrained, device, precision
        The CLIP model; see `skneg.backbone.load_backbone`.
    templates : str or sequence of str, default="a photo of a {}"
        Prompts around the class name; the embeddings of several are averaged.
    text_bank : TextBank or array-like of shape (k, d), optional
        Ready text embeddings of the classes, in the order of ``classes_``; no text tower is used then,
        and no model is loaded while images come as embeddings.
    score_temperature : float, default=1.0
        What cosines are divided by in the score.
    class_names, batch_size, contamination, unknown_label, random_state, verbose
        See `NegPromptDetector`.
    calibration, calibration_fraction
        Without effect: as nothing is trained, all images given to `fit` set the threshold.

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

    def _score_cosines(self, positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
        return mcm(positive, self.score_temperature)
