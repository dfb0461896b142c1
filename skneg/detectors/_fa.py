"""FA: a learned prompt that must outweigh copies of the hand-written one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils import check_at_least
from ..bank import TextBank
from ..errors import InputError
from ..prompts.recipe import CoOpRecipe
from ..scores import mcm
from ._coop import CoOpDetector, learn_coop

if TYPE_CHECKING:
    from .._state import FittedState


class FADetector(CoOpDetector):
    """Forced prompt learning: a prompt learned against copies of the hand-written one [1]_.

    The context is CoOp's, but the softmax of its cross-entropy also holds `n_copies` of every class's
    prompt as it was before training, all of them wrong answers. So what is learned of a class must be more
    than its name says. The score is MCM over learned prompts and copies together, the class that of the
    learned ones.

    What differs from the published code: it sees cached embeddings, so augmentation is left out; its
    schedule is CoOp's here, a first epoch of warm-up and a cosine by epochs, not by steps without a
    warm-up. The local features that its second score adds are not used.

    Parameters
    ----------
    n_copies : int, default=3
        K, as published.
    recipe : CoOpRecipe, optional
        How the prompt is trained. Its `context_init` is the hand-written prompt, so it needs one. None is
        the published recipe: "a photo of a", 50 epochs at a rate of 0.002, 160 images a step.
    score_temperature : float, default=1.0
        What cosines are divided by in the score.
    model, class_names, contamination, random_state, calibration, unknown_label, pretrained, device, \
precision, batch_size, verbose
        See `NegPromptDetector`.

    Attributes
    ----------
    frozen_context_ : ndarray of shape (n_ctx, width)
        What the learned context started from.
    text_bank_ : TextBank
        ``positive`` are the learned prompts, ``negative`` the hand-written ones, once each.
    positive_context_, history_, classes_, class_names_, offset_, temperature_, unknown_label_
        See `CoOpDetector`.

    References
    ----------
    .. [1] Lu et al., "FA: Forced Prompt Learning of Vision-Language Models for Out-of-Distribution
       Detection", ICCV 2025.

    Examples
    --------
    >>> from skneg import FADetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(100, shapes=["star", "heart"], random_state=0)
    >>> detector = FADetector(model="skneg-tiny", random_state=0).set_params(recipe__n_epochs=2)
    >>> detector.fit(X, y).text_bank_.negative.shape
    (2, 128)
    """

    reference = "Lu et al., ICCV 2025"
    default_recipe = CoOpRecipe(n_ctx=None, context_init="a photo of a", train_batch_size=160)

    def __init__(self, *, n_copies: int = 3, **shared: Any) -> None:
        super().__init__(**shared)
        self.n_copies = n_copies

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_at_least("n_copies", self.n_copies, 1, Integral)
        if self._recipe().context_init is None:
            raise InputError(
                "FADetector trains against copies of a hand-written prompt: recipe needs a context_init, "
                "such as CoOpRecipe(n_ctx=None, context_init='a photo of a')."
            )

    def _learn(self, Z: Any, targets: Any, names: Sequence[str], seed: int, groups: Any) -> dict[str, Any]:
        from ..prompts.coop import fa_loss
        from ..prompts.encoding import context_from_text

        learned = learn_coop(self, Z, targets, names, seed, loss=fa_loss(self.n_copies), frozen=True)
        start = context_from_text(self._backbone().text_tower, self._recipe().context_init)
        return {**learned, "frozen_context_": start.cpu().numpy()}

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        positive, frozen = (
            self._embed_contexts(learned[context][None], names)
            for context in ("positive_context_", "frozen_context_")
        )
        return {"text_bank_": TextBank.of_contexts(positive[0], frozen, None)}

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        def score(positive: np.ndarray, frozen: np.ndarray, _: np.ndarray) -> np.ndarray:
            return mcm(np.concatenate([positive, *[frozen] * self.n_copies], axis=1), self.score_temperature)

        return state.text_bank_.score(Z, score)
