"""Global and local maximum concept matching."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils import check_at_least
from ._patches import global_local_mcm, need_patches
from ._zero_shot import ZeroShotDetector

if TYPE_CHECKING:
    from .._state import FittedState


class GLMCMDetector(ZeroShotDetector):
    """MCM of the whole image plus MCM of its best patch [1]_.

    Accepts images that show a known class anywhere, among other things. Takes images, or embeddings of
    shape (n, 1 + patches, d) from ``CLIPImageEncoder(local=True)``.

    Parameters
    ----------
    local_weight : float, default=1.0
        Weight of the local part (lambda in [1]_).
    score_temperature : float, default=1.0
        What cosines are divided by, globally and locally.
    model, class_names, contamination, templates, text_bank, unknown_label, pretrained, device, \
precision, batch_size, verbose
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

    needs = "local features"
    reference = "Miyai et al., IJCV 2025"

    def __init__(self, *, local_weight: float = 1.0, score_temperature: float = 1.0, **shared: Any) -> None:
        super().__init__(**shared)
        self.local_weight = local_weight
        self.score_temperature = score_temperature

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_at_least("local_weight", self.local_weight, 0)

    def _represent(self, images: Any) -> np.ndarray:
        need_patches(self, images)
        return super()._represent(images)

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        return global_local_mcm(state.text_bank_, Z, self.score_temperature, self.local_weight)

    def _posterior(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        return super()._posterior(state, Z[:, 0])
