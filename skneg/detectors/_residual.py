"""What lies outside the principal space of the training images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils import check_at_least
from ._features import training_rows
from ._probe import ProbeDetector, probe_weights

if TYPE_CHECKING:
    from .._state import FittedState


class ResidualDetector(ProbeDetector):
    """Minus the length of an embedding's part outside the principal space, ViM's residual alone [1]_.

    The origin is the point where all logits of a logistic regression are 0; the principal space holds the
    eigenvectors of the largest eigenvalues of the training embeddings' second moments about it.

    What differs from the published code: the classifier is a logistic regression on frozen embeddings, not
    the last layer of a trained network, and its weights are of two classes at least. The published
    dimensions of the principal space, 1,000 of 2,048 and 512 of 768, leave nothing of CLIP's 512, and
    few training images span fewer dimensions: it is half of those that they span. All others count as
    residual, those that no training image reaches too. There new images of the known classes have a
    residual and training images have none, so only a threshold from images that were not learned from holds,
    as `calibration` makes it.

    Parameters
    ----------
    n_components : int, optional
        Dimension of the principal space; half the rank of the training embeddings about the origin by
        default. At most one less than the rank is used.
    C, max_iter
        See `LinearProbeDetector`.
    model, class_names, contamination, random_state, calibration, unknown_label, pretrained, device, \
precision, batch_size, verbose
        See `NegPromptDetector`. Class names are not needed, and no model is loaded while images come as
        embeddings, of any width.

    Attributes
    ----------
    coef_, intercept_, n_iter_
        See `LinearProbeDetector`.
    origin_ : ndarray of shape (d,)
    residual_space_ : ndarray of shape (d, d - n_components)
        Orthonormal columns: what the principal space leaves.

    References
    ----------
    .. [1] Wang et al., "ViM: Out-Of-Distribution with Virtual-logit Matching", CVPR 2022.

    Examples
    --------
    >>> from skneg import ResidualDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(100, shapes=["star", "heart"], random_state=0)
    >>> detector = ResidualDetector(model="skneg-tiny", n_components=20, random_state=0).fit(X, y)
    >>> detector.residual_space_.shape
    (128, 108)
    """

    reference = "Wang et al., CVPR 2022"

    def __init__(self, *, n_components: int | None = None, **shared: Any) -> None:
        super().__init__(**shared)
        self.n_components = n_components

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.n_components is not None:
            check_at_least("n_components", self.n_components, 1, Integral)

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        fitted = super()._prepare(learned, names)
        weights, intercepts = probe_weights(fitted)
        # Weights sum to 0 up to the rounding of float32, which would be divided by as if it meant something.
        weights, intercepts = weights - weights.mean(axis=0), intercepts - intercepts.mean()
        origin = -np.linalg.lstsq(weights, intercepts, rcond=None)[0]
        about = training_rows(learned, names, type(self).__name__)[0] - origin  # float64
        moments, vectors = np.linalg.eigh(about.T @ about)  # ascending
        rank = int((moments > len(moments) * np.finfo(float).eps * moments[-1]).sum())
        kept = rank // 2 if self.n_components is None else min(self.n_components, rank - 1)
        return {**fitted, "origin_": origin, "residual_space_": vectors[:, : len(moments) - kept]}

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        return -residuals(vars(state), Z)


def residuals(fitted: Mapping[str, Any], Z: np.ndarray) -> np.ndarray:
    """Lengths (n,) of the parts of embeddings (n, d) outside the principal space."""
    return np.linalg.norm((Z - fitted["origin_"]) @ fitted["residual_space_"], axis=1)
