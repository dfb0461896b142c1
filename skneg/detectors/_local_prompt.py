"""LocalPrompt: prompts for patches, of the classes and of nothing in particular."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from .._softmax import logsumexp
from .._utils import check_at_least
from ..bank import TextBank
from ..prompts.recipe import CoOpRecipe
from ..scores import class_posterior, mcm
from ..words import embed_names
from ._coop import CoOpDetector
from ._nameless import _TEMPLATE, learn_beside_nameless
from ._patches import need_patches

if TYPE_CHECKING:
    from .._state import FittedState


class LocalPromptDetector(CoOpDetector):
    """Local prompts on image patches, against negative ones that name no class [1]_.

    Hand-written global prompts look at the whole image and are not trained. Local prompts look at its
    patches: a learned context with the class names, and `n_negative` contexts that name nothing. The first
    learn to win on the patches most like the class, the second on those least like it. The score is MCM of
    the whole image, plus the mean of the `top_k` largest shares that class names have at a patch, beside all
    local prompts.

    What differs from the published code: regions come from the patches of the whole image, half of them like
    its class by the global prompt and half unlike it, not from random crops of it; so cached local features
    are enough. The classes share one local context, which takes new names; there each has its own.
    The negative prompts are kept apart by their own cosines, as in the paper; the code takes the class
    prompts' there.

    Parameters
    ----------
    n_negative : int, default=300
        Negative contexts.
    top_k : int, default=20
        Patches of a prompt, and shares of an image, that count; all where there are no more.
    negative_weight : float, default=5.0
        Of the loss on patches that are unlike the class.
    diversity_weight : float, default=0.5
        Of the mean cosine of the negative prompts.
    recipe : CoOpRecipe, optional
        None is 16 context vectors and 30 epochs in batches of 256, as published.
    score_temperature
        See `CoOpDetector`.
    model, class_names, contamination, random_state, calibration, unknown_label, pretrained, device, \
precision, batch_size, verbose
        See `NegPromptDetector`. The model's image tower must have local features.

    Attributes
    ----------
    text_bank_ : TextBank
        The global prompts; ``negative`` holds the negative local ones, which belong to no class.
    local_prompts_ : ndarray of shape (k, d)
        The classes' local prompts.
    positive_context_ : ndarray of shape (n_ctx, width)
        The context of the local prompts.
    negative_context_ : ndarray of shape (n_negative, n_ctx, width)
    history_, classes_, class_names_, offset_, temperature_, unknown_label_
        See `CoOpDetector`.

    References
    ----------
    .. [1] Zeng et al., "Local-Prompt: Extensible Local Prompts for Few-Shot Out-of-Distribution Detection",
       ICLR 2025.

    Examples
    --------
    >>> from skneg import LocalPromptDetector
    >>> from skneg.prompts import CoOpRecipe
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(60, shapes=["star", "heart"], random_state=0)
    >>> detector = LocalPromptDetector(
    ...     model="skneg-tiny", n_negative=10, recipe=CoOpRecipe(n_epochs=2), random_state=0
    ... )
    >>> detector.fit(X, y).text_bank_.negative.shape
    (10, 128)
    """

    needs = "local features"
    reference = "Zeng et al., ICLR 2025"
    default_recipe = CoOpRecipe(n_epochs=30, train_batch_size=256)

    def __init__(
        self,
        *,
        n_negative: int = 300,
        top_k: int = 20,
        negative_weight: float = 5.0,
        diversity_weight: float = 0.5,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.n_negative = n_negative
        self.top_k = top_k
        self.negative_weight = negative_weight
        self.diversity_weight = diversity_weight

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_at_least("n_negative", self.n_negative, 1, Integral)
        check_at_least("negative_weight", self.negative_weight, 0)
        check_at_least("diversity_weight", self.diversity_weight, 0)
        check_at_least("top_k", self.top_k, 1, Integral)

    def _represent(self, images: Any) -> np.ndarray:
        need_patches(self, images)
        return super()._represent(images)

    def _learn(self, Z: Any, targets: Any, names: Sequence[str], seed: int, groups: Any) -> dict[str, Any]:
        from ..prompts.nameless import local_prompt_loss

        loss = local_prompt_loss(self.top_k, self.negative_weight)
        return learn_beside_nameless(
            self, Z[:, 1:], targets, names, seed, loss, Z.shape[1],
            n_negative=self.n_negative, diversity_weight=self.diversity_weight,
        )  # fmt: skip

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        whole = embed_names(self._backbone().text_tower, names, [_TEMPLATE])
        local = self._embed_contexts(learned["positive_context_"][None], names)[0]
        return {"text_bank_": TextBank(whole, learned["nameless_"]), "local_prompts_": local}

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        bank, prompts = state.text_bank_, np.concatenate([state.local_prompts_, state.text_bank_.negative])
        k = len(state.local_prompts_)

        # One image at a time: the cosines of all patches to all prompts would fill the memory.
        def of_patches(patches: np.ndarray) -> float:
            cosines = (patches @ prompts.T).astype(np.float64) / self.score_temperature
            shares = np.exp(cosines[:, :k] - logsumexp(cosines, axis=1)[:, None]).ravel()
            return float(np.sort(shares)[-self.top_k :].mean())

        whole = np.exp(mcm(Z[:, 0] @ bank.positive.T, self.score_temperature))
        return whole + np.array([of_patches(z[1:]) for z in Z])

    def _posterior(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        temperature = self.score_temperature

        def of_patches(patches: np.ndarray) -> np.ndarray:
            best = np.sort(patches @ state.local_prompts_.T, axis=0)[-self.top_k :]
            return temperature * (logsumexp(best / temperature, axis=0) - np.log(len(best)))

        both = Z[:, 0] @ state.text_bank_.positive.T + np.stack([of_patches(z[1:]) for z in Z])
        return class_posterior(both, state.temperature_)
