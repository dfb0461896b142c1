"""Distance to the nearest training images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import gen_batches

from .._utils import check_at_least
from ._features import FeatureDetector, training_rows

if TYPE_CHECKING:
    from .._state import FittedState

_CELLS = 2**21  # rows x neighbours that are compared at a time: 16 MiB


class KNNDetector(FeatureDetector):
    """Distance to the k-th nearest training embedding [1]_.

    Parameters
    ----------
    n_neighbors : int, default=10
        k; at most the number of training embeddings is used.
    model, class_names, contamination, random_state, calibration, unknown_label, pretrained, device, \
precision, batch_size, verbose
        See `NegPromptDetector`. Class names are not needed, and no model is loaded while images come as
        embeddings, of any width.

    Attributes
    ----------
    train_embeddings_ : ndarray of shape (n, d)
        What images are compared with. `predict_proba` is the share of each class among the neighbours,
        weighted by 1 / distance.

    References
    ----------
    .. [1] Sun et al., "Out-of-Distribution Detection with Deep Nearest Neighbors", ICML 2022.

    Examples
    --------
    >>> from skneg import KNNDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(100, shapes=["star", "heart"], random_state=0)
    >>> KNNDetector(model="skneg-tiny", random_state=0).fit(X, y).score_samples(X).shape
    (100,)
    """

    reference = "Sun et al., ICML 2022"
    one_class = True

    def __init__(self, *, n_neighbors: int = 10, **shared: Any) -> None:
        super().__init__(**shared)
        self.n_neighbors = n_neighbors

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_at_least("n_neighbors", self.n_neighbors, 1, Integral)

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        embeddings, targets = training_rows(learned, names, type(self).__name__)
        return {"neighbors_": embeddings, "neighbor_targets_": targets}

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        return -self._nearest(state, Z)[0][:, -1]

    def _posterior(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        distances, rows = self._nearest(state, Z)
        # Weighted, or few shots of few classes would be one great tie.
        is_copy = distances == 0  # of the image itself: nothing else counts beside it
        weights = np.where(is_copy.any(axis=1, keepdims=True), is_copy, 1 / np.where(is_copy, 1, distances))
        votes = np.zeros((len(Z), len(state.classes_)))
        np.add.at(votes, (np.arange(len(Z))[:, None], state.neighbor_targets_[rows]), weights)
        return votes / votes.sum(axis=1, keepdims=True)

    def _nearest(self, state: FittedState, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distances (n, k) to the nearest neighbours, ascending, and their rows.

        Not by scikit-learn, whose threads a forked process waits for in vain, and whose checks change the
        filters of warnings.
        """
        known = state.neighbors_.astype(np.float64)
        k, squares = min(self.n_neighbors, len(known)), np.einsum("nd,nd->n", known, known)
        distances, nearest = np.empty((len(Z), k)), np.empty((len(Z), k), dtype=np.intp)
        for part in gen_batches(len(Z), max(1, _CELLS // len(known))):
            rows = Z[part].astype(np.float64)
            away = np.einsum("nd,nd->n", rows, rows)[:, None] - 2 * (rows @ known.T) + squares
            # The k nearest in order, the first in training before others that are as far.
            chosen = np.sort(np.argpartition(away, k - 1, axis=1)[:, :k], axis=1)
            found = np.take_along_axis(away, chosen, axis=1)
            order = np.argsort(found, axis=1, kind="stable")
            nearest[part] = np.take_along_axis(chosen, order, axis=1)
            distances[part] = np.sqrt(np.maximum(np.take_along_axis(found, order, axis=1), 0))
        return distances, nearest
