"""Distance to the nearest training images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils import check_at_least
from ._features import FeatureDetector, training_rows

if TYPE_CHECKING:
    from .._state import FittedState


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
        if len(Z) == 0:
            return np.empty(0)
        return -self._estimator(state).kneighbors(Z)[0][:, -1].astype(np.float64)

    def _posterior(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        return self._estimator(state).predict_proba(Z).astype(np.float64)

    def _estimator(self, state: FittedState) -> Any:
        from sklearn.neighbors import KNeighborsClassifier

        k = min(self.n_neighbors, len(state.neighbors_))
        # Weighted, or few shots of few classes would be one great tie. To fit by brute force is to keep
        # the rows, so no estimator is kept: a file could not hold it.
        estimator = KNeighborsClassifier(k, weights="distance", algorithm="brute")
        return estimator.fit(state.neighbors_, state.neighbor_targets_)
