"""Tip-Adapter: class names, and a cache of labelled images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils import by_blocks, check_at_least, check_between
from ..scores import class_posterior, mcm
from ._features import training_rows
from ._named_images import NamedImagesDetector

if TYPE_CHECKING:
    from .._state import FittedState


class TipAdapterDetector(NamedImagesDetector):
    """CLIP's cosines to the class names, and a cache of training images added to them [1]_.

    The logit of a class is ``z / t + alpha * sum_i exp(-beta (1 - a_i))``: z the cosine to its name, t
    CLIP's temperature, a_i the cosine to its i-th training image. Nothing is trained.

    The paper classifies; its authors give no score for unknown images. This is a baseline: MCM of the joined
    logits, brought back to cosines by the factor t.

    What differs from the published code: `alpha` and `beta` are the paper's, where the code searches both on
    labelled images; each image is in the cache as it is, without the mean of 10 random crops; the trained
    variant, Tip-Adapter-F, is left out. The sum grows with the images of a class, so classes should have as
    many as each other. A class needs images: names alone are refused.

    Parameters
    ----------
    alpha : float, default=1.0
        Weight of the cache; 0 leaves it out.
    beta : float, default=5.5
        How fast an image's say falls with its distance.
    score_temperature : float, default=1.0
        What joined cosines are divided by in the score; CLIP's own (0.01) gives the maximum of the published
        softmax.
    calibration, random_state
        See `NegPromptDetector`.
    model, class_names, contamination, templates, text_bank, unknown_label, pretrained, device, \
precision, batch_size, verbose
        See `MCMDetector`.

    Attributes
    ----------
    text_bank_ : TextBank
        The names, without negatives.
    train_embeddings_ : ndarray of shape (n, d)
        The cache.
    classes_, class_names_, offset_, temperature_, unknown_label_
        See `NegPromptDetector`.

    References
    ----------
    .. [1] Zhang et al., "Tip-Adapter: Training-Free Adaption of CLIP for Few-Shot Classification", ECCV 2022.

    Examples
    --------
    >>> from skneg import TipAdapterDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(100, shapes=["star", "heart"], random_state=0)
    >>> TipAdapterDetector(model="skneg-tiny", random_state=0).fit(X, y).score_samples(X).shape
    (100,)
    """

    reference = "Zhang et al., ECCV 2022"

    def __init__(
        self, *, alpha: float = 1.0, beta: float = 5.5, score_temperature: float = 1.0, **shared: Any
    ) -> None:
        super().__init__(**shared)
        self.alpha = alpha
        self.beta = beta
        self.score_temperature = score_temperature

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_at_least("alpha", self.alpha, 0)
        check_between("beta", self.beta, 0, np.inf)

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        embeddings, targets = training_rows(learned, names, type(self).__name__)
        cache = {"neighbors_": embeddings, "neighbor_targets_": targets}
        return {**super()._prepare(learned, names), **cache}

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        return mcm(self._joined(state, Z), self.score_temperature)

    def _posterior(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        return class_posterior(self._joined(state, Z), state.temperature_)

    def _joined(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        """Logits (n, k) of names and cache, times the temperature."""
        texts, images = state.text_bank_.positive, state.neighbors_
        is_of = state.neighbor_targets_[:, None] == np.arange(len(texts))
        weight = is_of * np.float32(self.alpha * state.temperature_)

        def of_rows(rows: np.ndarray) -> np.ndarray:
            return rows @ texts.T + np.exp(self.beta * (rows @ images.T - 1)) @ weight

        return by_blocks(Z, len(images) + len(texts), of_rows)
