"""LSN: class-specific negative prompts."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np

from .._validation import check_at_least
from ..bank import TextBank
from ..scores import lsn
from ._coop import CoOpDetector
from ._prompted import bank_of


class LSNDetector(CoOpDetector):
    """Learned semantic negatives [1]_: each class learns what its own images are least like.

    The positive context is CoOp's; then each class gets `n_negative` contexts of its own, trained so
    that among all classes' negatives an image is least like those of its class (the cross-entropy of a
    softmax over negated cosines), and kept orthogonal to each other. The score is the largest softmax
    share over the positives minus the smallest over the negatives.

    Class-specific contexts say nothing of new names, so `set_vocabulary` can only choose among the
    trained classes.

    Parameters
    ----------
    n_negative : int, default=3
        Negative contexts for each class; their cosines are averaged.
    score_temperature : float, default=0.01
        Of both softmaxes of the score.
    n_ctx, context_init, n_epochs, learning_rate, train_batch_size, train_temperature
        See `CoOpDetector`.
    class_names, model, pretrained, device, precision, batch_size, contamination, calibration, \
calibration_fraction, unknown_label, random_state, verbose
        See `NegPromptDetector`.

    Attributes
    ----------
    negative_context_ : ndarray of shape (n_negative, k, n_ctx, width)
        The negative contexts.
    positive_context_, history_, classes_, class_names_, text_bank_, offset_
        See `CoOpDetector`; the bank's negatives are class-major.

    References
    ----------
    .. [1] Nie et al., "Out-of-Distribution Detection with Negative Prompts", ICLR 2024.

    Examples
    --------
    >>> from skneg import LSNDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(100, shapes=["star", "heart"], random_state=0)
    >>> LSNDetector(model="skneg-tiny", n_epochs=2, random_state=0).fit(X, y).text_bank_.negative.shape
    (6, 128)
    """

    def __init__(self, *, n_negative: int = 3, score_temperature: float = 0.01, **shared: Any) -> None:
        super().__init__(score_temperature=score_temperature, **shared)
        self.n_negative = n_negative

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_at_least("n_negative", self.n_negative, 1, Integral)

    def _training_options(self, n_classes: int) -> dict[str, Any]:
        return {"n_negative": self.n_negative}

    def _learn(self, embeddings: np.ndarray, targets: np.ndarray, names: Sequence[str], seed: int) -> None:
        super()._learn(embeddings, targets, names, seed)
        self.negative_context_ = self._negative_context

    def _make_bank(self, names: Sequence[str]) -> TextBank:
        rows = self._rows_of(
            names, "LSN learns negatives for each class that has images, which says nothing of other names."
        )
        negative = self._embed_contexts(self.negative_context_[:, rows], names)
        return bank_of(super()._make_bank(names).positive, negative)

    def _score_cosines(self, positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
        by_class = negative.reshape(*positive.shape, -1).mean(axis=2)
        return lsn(positive, by_class, self.score_temperature)
