"""The energy of a classifier, guided by the nearest training images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils import by_blocks, check_at_least
from ..scores import energy
from ._features import training_rows
from ._probe import ProbeDetector, probe_logits

if TYPE_CHECKING:
    from .._state import FittedState


class NNGuideDetector(ProbeDetector):
    """Nearest-neighbour guidance: a classifier's energy times the weighted likeness of neighbours [1]_.

    The guidance is the mean of the `n_neighbors` largest cosines to training images, each times the energy
    of the training image itself. The energy is that of the logits at temperature 1.

    What differs from the published code: the classifier is a logistic regression on frozen embeddings, and
    all training images are neighbours, since they are few. The published ones are 1 % of ImageNet's.

    Parameters
    ----------
    n_neighbors : int, default=10
        k, as published; at most the number of training embeddings is used.
    C, max_iter
        See `LinearProbeDetector`.
    model, class_names, contamination, random_state, calibration, unknown_label, pretrained, device, \
precision, batch_size, verbose
        See `NegPromptDetector`. Class names are not needed, and no model is loaded while images come as
        embeddings, of any width.

    Attributes
    ----------
    confidences_ : ndarray of shape (n,)
        The energies of the training embeddings; above 0, since the logits sum to 0 over the classes.
    coef_, intercept_, n_iter_
        See `LinearProbeDetector`.

    References
    ----------
    .. [1] Park et al., "Nearest Neighbor Guidance for Out-of-Distribution Detection", ICCV 2023.

    Examples
    --------
    >>> from skneg import NNGuideDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(100, shapes=["star", "heart"], random_state=0)
    >>> NNGuideDetector(model="skneg-tiny", random_state=0).fit(X, y).score_samples(X).shape
    (100,)
    """

    reference = "Park et al., ICCV 2023"

    def __init__(self, *, n_neighbors: int = 10, **shared: Any) -> None:
        super().__init__(**shared)
        self.n_neighbors = n_neighbors

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_at_least("n_neighbors", self.n_neighbors, 1, Integral)

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        fitted = super()._prepare(learned, names)
        embeddings, _ = training_rows(learned, names, type(self).__name__)
        confidences = energy(probe_logits(fitted, embeddings), temperature=1.0)
        return {**fitted, "neighbors_": embeddings, "confidences_": confidences}

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        k = min(self.n_neighbors, len(state.neighbors_))

        def guidance(rows: np.ndarray) -> np.ndarray:
            likeness = rows @ state.neighbors_.T * state.confidences_
            return np.partition(likeness, -k, axis=1)[:, -k:].mean(axis=1)

        guided = by_blocks(Z, len(state.neighbors_), guidance)
        return guided * energy(probe_logits(vars(state), Z), temperature=1.0)
