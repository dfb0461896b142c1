"""Distances to the decision boundaries of a classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial.distance import cdist

from ._features import training_rows
from ._probe import ProbeDetector, probe_logits, probe_weights

if TYPE_CHECKING:
    from .._state import FittedState

_NEAREST = 1e-6  # to the mean, where all images are one


class FDBDDetector(ProbeDetector):
    """Mean distance to the decision boundaries, over the distance to the training mean (fDBD) [1]_.

    The distance of an embedding to the boundary between its likeliest class and another is the difference of
    their logits over the length of the difference of their weights. Images of known classes are farther from
    boundaries than others that are as far from the mean of all training embeddings.

    What differs from the published code: the classifier is a logistic regression on frozen embeddings,
    not the last layer of a trained network; distances are averaged, as printed, where the code sums them,
    which is the same order. OpenOOD's version may divide by the length of the embedding, which is 1 here.

    Parameters
    ----------
    C, max_iter
        See `LinearProbeDetector`.
    model, class_names, contamination, random_state, calibration, unknown_label, pretrained, device, \
precision, batch_size, verbose
        See `NegPromptDetector`. Class names are not needed, and no model is loaded while images come as
        embeddings, of any width.

    Attributes
    ----------
    mean_ : ndarray of shape (d,)
        Of the training embeddings.
    inverse_gaps_ : ndarray of shape (k, k)
        1 / the length of the difference of the weights of two classes; 0 for the same class, or same weights.
    coef_, intercept_, n_iter_
        See `LinearProbeDetector`.

    References
    ----------
    .. [1] Liu and Qin, "Fast Decision Boundary based Out-of-Distribution Detector", ICML 2024.

    Examples
    --------
    >>> from skneg import FDBDDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(100, shapes=["star", "heart"], random_state=0)
    >>> FDBDDetector(model="skneg-tiny", random_state=0).fit(X, y).score_samples(X).shape
    (100,)
    """

    reference = "Liu and Qin, ICML 2024"

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        fitted = super()._prepare(learned, names)
        embeddings, _ = training_rows(learned, names, type(self).__name__)
        weights, _ = probe_weights(fitted)
        gaps = cdist(weights, weights)
        inverse = np.where(gaps > 0, 1 / np.where(gaps > 0, gaps, 1), 0)
        return {**fitted, "mean_": embeddings.mean(axis=0, dtype=np.float64), "inverse_gaps_": inverse}

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        logits, n_classes = probe_logits(vars(state), Z), len(state.classes_)
        is_likeliest = logits.argmax(axis=1)[:, None] == np.arange(n_classes)
        lead = logits.max(axis=1, keepdims=True) - logits
        # The likeliest class's row of the table, by a product that a graph can hold.
        distances = lead * (is_likeliest.astype(np.float64) @ state.inverse_gaps_)
        from_mean = np.linalg.norm(Z - state.mean_, axis=1)
        return distances.sum(axis=1) / (n_classes - 1) / np.maximum(from_mean, _NEAREST)
