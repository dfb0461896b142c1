"""CoOp: a learned prompt, scored by MCM."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np

from .._validation import check_at_least
from ..bank import TextBank
from ..scores import mcm
from ._prompted import PromptDetector, recipe_from


class CoOpDetector(PromptDetector):
    """A prompt context learned by cross-entropy [1]_, scored by MCM.

    The defaults are CoOp's published recipe; it sees cached embeddings, so its augmentation is left out.

    Parameters
    ----------
    n_ctx : int or None, default=16
        Number of context vectors; None with a `context_init` takes as many as that has tokens.
    context_init : str, optional
        Text the context starts from; noise by default.
    n_epochs : int, default=50
        Epochs of SGD, the first of them a warm-up; 50 is what is published for ImageNet.
    learning_rate : float, default=0.002
    train_batch_size : int, default=32
    train_temperature : float, optional
        What cosines are divided by in training; the model's own by default.
    score_temperature : float, default=1.0
        What cosines are divided by in the score.
    class_names, model, pretrained, device, precision, batch_size, contamination, calibration, \
calibration_fraction, unknown_label, random_state, verbose
        See `NegPromptDetector`.

    Attributes
    ----------
    positive_context_ : ndarray of shape (n_ctx, width)
        The learned context.
    history_ : dict of str to ndarray of shape (steps,)
        Every loss term at each step.
    classes_, class_names_, text_bank_, offset_, temperature_, unknown_label_
        See `NegPromptDetector`; the bank has no negatives.

    References
    ----------
    .. [1] Zhou et al., "Learning to Prompt for Vision-Language Models", IJCV 2022.

    Examples
    --------
    >>> from skneg import CoOpDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(100, shapes=["star", "heart"], random_state=0)
    >>> detector = CoOpDetector(model="skneg-tiny", n_epochs=2, random_state=0).fit(X, y)
    >>> detector.positive_context_.shape
    (16, 64)
    """

    def __init__(
        self,
        *,
        n_ctx: int | None = 16,
        context_init: str | None = None,
        n_epochs: int = 50,
        learning_rate: float = 2e-3,
        train_batch_size: int = 32,
        train_temperature: float | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.n_ctx = n_ctx
        self.context_init = context_init
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.train_batch_size = train_batch_size
        self.train_temperature = train_temperature

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_at_least("n_epochs", self.n_epochs, 1, Integral)

    def _training_options(self, n_classes: int) -> dict[str, Any]:
        """What a method adds to `skneg.prompts.coop.train_coop`."""
        return {}

    def _learn(self, embeddings: np.ndarray, targets: np.ndarray, names: Sequence[str], seed: int) -> None:
        from ..prompts.coop import CoOpRecipe, train_coop

        targets = self._choose_trained(targets, names)
        learned = train_coop(
            self._backbone().text_tower,
            self._trained_names,
            embeddings,
            targets,
            recipe_from(self, CoOpRecipe),
            seed=seed,
            verbose=bool(self.verbose),
            **self._training_options(len(self._trained_names)),
        )
        self.positive_context_ = learned.positive_context
        self.history_ = learned.history
        self._negative_context = learned.negative_context

    def _make_bank(self, names: Sequence[str]) -> TextBank:
        return TextBank.from_positives(self._embed_contexts(self.positive_context_[None], names)[0])

    def _score_cosines(self, positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
        return mcm(positive, self.score_temperature)
