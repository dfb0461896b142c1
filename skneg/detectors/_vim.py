"""ViM: the residual as the logit of one more class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..scores import energy
from ._features import training_rows
from ._probe import probe_logits
from ._residual import ResidualDetector, residuals

if TYPE_CHECKING:
    from .._state import FittedState


class ViMDetector(ResidualDetector):
    """Virtual-logit matching: the energy of a classifier's logits less a scaled residual [1]_.

    The residual is that of `ResidualDetector`, which says what differs from the published code. Its factor
    makes the mean residual of the training images as large as their mean largest logit. So scaled it is the
    logit of a virtual class, and the score orders images as the probability of that class does.

    With fewer training images than dimensions their residuals are smaller than those of new images. The
    factor is large then, and the score close to that of `ResidualDetector` (docs/detectors.md).

    Parameters
    ----------
    n_components
        See `ResidualDetector`.
    C, max_iter
        See `LinearProbeDetector`.
    model, class_names, contamination, random_state, calibration, unknown_label, pretrained, device, \
precision, batch_size, verbose
        See `NegPromptDetector`. Class names are not needed, and no model is loaded while images come as
        embeddings, of any width.

    Attributes
    ----------
    alpha_ : float
        The factor of the residual.
    coef_, intercept_, n_iter_, origin_, residual_space_
        See `ResidualDetector`.

    References
    ----------
    .. [1] Wang et al., "ViM: Out-Of-Distribution with Virtual-logit Matching", CVPR 2022.

    Examples
    --------
    >>> from skneg import ViMDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(100, shapes=["star", "heart"], random_state=0)
    >>> ViMDetector(model="skneg-tiny", random_state=0).fit(X, y).score_samples(X).shape
    (100,)
    """

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        fitted = super()._prepare(learned, names)
        embeddings, _ = training_rows(learned, names, type(self).__name__)
        largest = probe_logits(fitted, embeddings).max(axis=1).mean()
        return {**fitted, "alpha_": float(largest / residuals(fitted, embeddings).mean())}

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        fitted = vars(state)
        return energy(probe_logits(fitted, Z), temperature=1.0) - state.alpha_ * residuals(fitted, Z)
