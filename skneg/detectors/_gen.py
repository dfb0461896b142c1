"""The generalised entropy of a classifier's probabilities."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from .._softmax import softmax
from .._utils import check_at_least, check_between
from ._probe import ProbeDetector, probe_logits

if TYPE_CHECKING:
    from .._state import FittedState


class GENDetector(ProbeDetector):
    """Minus the generalised entropy of a classifier's largest probabilities [1]_.

    ``- sum_j (p_j (1 - p_j)) ** gamma`` over the `top_m` largest probabilities p_j.

    What differs from the published code: the probabilities are those of a logistic regression on frozen
    embeddings, not of a trained network. They are not CLIP's own from class names: the score was made for a
    classifier that has learned the classes. ``1 - p`` of the largest is summed from the others, since
    the subtraction is 0 for every image the classifier is sure of.

    Parameters
    ----------
    gamma : float, default=0.1
        Exponent in (0, 1); the smaller, the more small probabilities count.
    top_m : int, default=100
        How many of the largest probabilities count; all, where there are no more classes.
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

    References
    ----------
    .. [1] Liu et al., "GEN: Pushing the Limits of Softmax-Based Out-of-Distribution Detection", CVPR 2023.

    Examples
    --------
    >>> from skneg import GENDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(100, shapes=["star", "heart"], random_state=0)
    >>> GENDetector(model="skneg-tiny", random_state=0).fit(X, y).score_samples(X).shape
    (100,)
    """

    reference = "Liu et al., CVPR 2023"

    def __init__(self, *, gamma: float = 0.1, top_m: int = 100, **shared: Any) -> None:
        super().__init__(**shared)
        self.gamma = gamma
        self.top_m = top_m

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_between("gamma", self.gamma, 0, 1)
        check_at_least("top_m", self.top_m, 1, Integral)

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        ascending = np.sort(softmax(probe_logits(vars(state), Z), axis=1), axis=1)
        others = ascending[:, :-1].sum(axis=1)[:, None]
        rest = np.concatenate([1 - ascending[:, :-1], others], axis=1)
        return -((ascending * rest)[:, -self.top_m :] ** self.gamma).sum(axis=1)
