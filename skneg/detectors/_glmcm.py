"""Global and local maximum concept matching."""

from __future__ import annotations

from typing import Any

from .._validation import check_at_least
from ._local import LocalFeaturesMixin
from ._text import TextDetector


class GLMCMDetector(LocalFeaturesMixin, TextDetector):
    """MCM of the whole image plus MCM of its best patch [1]_.

    Accepts images that show a known class anywhere, among other things. Takes images, or embeddings of
    shape (n, 1 + patches, d) from ``CLIPImageEncoder(local=True)``.

    Parameters
    ----------
    local_weight : float, default=1.0
        Weight of the local part (lambda in [1]_).
    score_temperature : float, default=1.0
        What cosines are divided by, globally and locally.
    templates, text_bank, class_names, model, pretrained, device, precision, batch_size, \
contamination, calibration, calibration_fraction, unknown_label, random_state, verbose
        See `MCMDetector`. The model's image tower must have local features.

    References
    ----------
    .. [1] Miyai et al., "GL-MCM: Global and Local Maximum Concept Matching for Zero-Shot
       Out-of-Distribution Detection", IJCV 2025.

    Examples
    --------
    >>> from skneg import GLMCMDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(40, shapes=["star", "heart"], random_state=0)
    >>> GLMCMDetector(model="skneg-tiny").fit(X, y).score_samples(X).shape
    (40,)
    """

    def __init__(self, *, local_weight: float = 1.0, **shared: Any) -> None:
        super().__init__(**shared)
        self.local_weight = local_weight

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_at_least("local_weight", self.local_weight, 0)
