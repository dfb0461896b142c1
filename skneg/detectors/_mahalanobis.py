"""Mahalanobis distance to the class means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._sklearn import one_at_a_time
from .._softmax import softmax
from ._features import FeatureDetector, training_rows

if TYPE_CHECKING:
    from .._state import FittedState


class MahalanobisDetector(FeatureDetector):
    """Mahalanobis distance to the nearest class mean, under one shared covariance [1]_.

    Parameters
    ----------
    model, class_names, contamination, random_state, calibration, unknown_label, pretrained, device, \
precision, batch_size, verbose
        See `NegPromptDetector`. Class names are not needed, and no model is loaded while images come as
        embeddings, of any width.

    Attributes
    ----------
    means_ : ndarray of shape (k, d)
    whitener_ : ndarray of shape (d, d)
        Maps embeddings to a space in which their shrunk covariance (Ledoit and Wolf) about the class means is
        the identity: ``whitener_ @ whitener_.T`` is the inverse of the covariance.
    whitened_means_ : ndarray of shape (k, d)
        The class means there, about their own mean.

    References
    ----------
    .. [1] Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution Samples and
       Adversarial Attacks", NeurIPS 2018.

    Examples
    --------
    >>> from skneg import MahalanobisDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(100, shapes=["star", "heart"], random_state=0)
    >>> MahalanobisDetector(model="skneg-tiny", random_state=0).fit(X, y).score_samples(X).shape
    (100,)
    """

    reference = "Lee et al., NeurIPS 2018"
    one_class = True

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        from sklearn.covariance import LedoitWolf

        embeddings, targets = training_rows(learned, names, type(self).__name__)
        means = np.stack([embeddings[targets == i].mean(axis=0, dtype=np.float64) for i in range(len(names))])
        within = embeddings - means[targets]
        if len(np.unique(embeddings, axis=0)) == len(means):  # one image a class
            within = embeddings - means.mean(axis=0)
        whitener = np.eye(embeddings.shape[1])
        if np.abs(within).max() > 1e-6:  # else all images are one, and the distance is Euclid's
            with one_at_a_time():
                covariance = LedoitWolf(assume_centered=True).fit(within)
            # Two images differ in one direction, and nothing is shrunk: Euclid's distance as well.
            if covariance.shrinkage_ > 1e-9 or len(within) > within.shape[1]:
                whitener = np.linalg.cholesky(covariance.precision_)
        whitened = (means - means.mean(axis=0)) @ whitener
        return {"means_": means, "whitener_": whitener, "whitened_means_": whitened}

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        return -_distances(state, Z).min(axis=1)

    def _posterior(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        return softmax(-_distances(state, Z) / 2, axis=1)


def _distances(state: FittedState, Z: np.ndarray) -> np.ndarray:
    """Squared distances (n, k)."""
    # One product for all classes; about their mean, so that the squares that are subtracted stay small.
    means, U = state.whitened_means_, (Z - state.means_.mean(axis=0)) @ state.whitener_
    norms, of_means = (np.einsum("nd,nd->n", part, part) for part in (U, means))
    return np.maximum(norms[:, None] - 2 * U @ means.T + of_means, 0)
