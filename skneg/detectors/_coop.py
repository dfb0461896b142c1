"""CoOp: a learned prompt, scored by MCM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..bank import TextBank
from ..scores import mcm
from ._prompt import PromptDetector, trained_classes

if TYPE_CHECKING:
    from .._state import FittedState


class CoOpDetector(PromptDetector):
    """A prompt context learned by cross-entropy [1]_, scored by MCM.

    It sees cached embeddings, so the published augmentation of images is left out.

    Parameters
    ----------
    recipe : CoOpRecipe, optional
        How the prompts are trained; None is `skneg.prompts.CoOpRecipe` with its defaults, CoOp's
        published recipe.
    score_temperature : float, default=1.0
        What cosines are divided by in the score.
    model, class_names, contamination, random_state, calibration, unknown_label, pretrained, device, \
precision, batch_size, verbose
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
    >>> from skneg.prompts import CoOpRecipe
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(100, shapes=["star", "heart"], random_state=0)
    >>> detector = CoOpDetector(model="skneg-tiny", recipe=CoOpRecipe(n_epochs=2), random_state=0)
    >>> detector = detector.fit(X, y)
    >>> detector.positive_context_.shape
    (16, 64)
    """

    reference = "Zhou et al., IJCV 2022"

    def __init__(self, *, score_temperature: float = 1.0, **shared: Any) -> None:
        super().__init__(**shared)
        self.score_temperature = score_temperature

    def _learn(self, Z: Any, targets: Any, names: Sequence[str], seed: int, groups: Any) -> dict[str, Any]:
        return learn_coop(self, Z, targets, names, seed)

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        positive = self._embed_contexts(learned["positive_context_"][None], names)[0]
        return {"text_bank_": TextBank.from_positives(positive)}

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        return state.text_bank_.score(Z, lambda positive, *_: mcm(positive, self.score_temperature))


def learn_coop(
    detector: PromptDetector, Z: Any, targets: Any, names: Sequence[str], seed: int, **options: Any
) -> dict[str, Any]:
    """Train by CoOp's recipe; `options` are those of `skneg.prompts.coop.train_coop`."""
    from ..prompts.coop import train_coop

    trained, targets = trained_classes(targets, names)
    learned = train_coop(
        detector._backbone().text_tower,
        trained,
        Z,
        targets,
        detector._recipe(),
        seed=seed,
        verbose=bool(detector.verbose),
        **options,
    )
    fitted = {"positive_context_": learned.positive_context, "history_": learned.history}
    if len(learned.negative_context):
        fitted["negative_context_"] = learned.negative_context
    return {**fitted, "trained_names_": trained}
