"""How prompts are trained, as one parameter of a detector."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from .._utils import check_at_least, check_between, check_option
from ..errors import InputError

# What the printed recipe of NegPrompt, and its code, have in place of the defaults of `PromptRecipe`.
PAPER: dict[str, Any] = {
    "anchor_weight": 0.0,
    "outlier_weight": 0.0,
    "negative_noise": 1e-5,
    "positive_steps": 100,
    "negative_steps": 10,
    "step_unit": "epochs",
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "train_batch_size": 64,
    "classes_per_step": None,
}
RELEASED = {**PAPER, "nis_over": "all", "negative_steps": 100, "gamma": 0.05 / 4}


class CoOpRecipe(BaseEstimator):
    """CoOp's published recipe; it sees cached embeddings, so its augmentation is left out.

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
        Embeddings per step.
    train_temperature : float, optional
        What cosines are divided by in training; the model's own by default.
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
    ) -> None:
        self.n_ctx = n_ctx
        self.context_init = context_init
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.train_batch_size = train_batch_size
        self.train_temperature = train_temperature

    def check(self) -> None:
        """Refuse settings that are not usable."""
        _check_common(self)
        check_at_least("n_epochs", self.n_epochs, 1, Integral)


class PromptRecipe(BaseEstimator):
    """How NegPrompt [1]_ trains its prompts.

    Parameters
    ----------
    n_negative : int, default=2
        Negative prompts for each class (p in [1]_).
    n_ctx : int, optional
        Number of context vectors. None: as many as `context_init` has tokens, or 16 without one. Any
        other number needs ``context_init=None``.
    context_init : str or None, default="a photo of a"
        Text that the positive context starts from; None starts from noise.
    beta, gamma : float, default=0.1, 0.05
        Weights of the NPD and NND losses (eq. 7 of [1]_).
    nis_over : {"negatives", "all"} or None, default="negatives"
        Logits of the NIS loss: the negatives' alone as in eq. 4, or with the positives' as in the
        authors' code; see `skneg.prompts.losses.nis`. None leaves the loss out.
    negative_init : str, default="positive"
        What the negative contexts start from: ``"positive"``, the learned positive context; ``"random"``;
        or a text, such as ``"not a photo of a"``.
    negative_noise : float, default=0.01
        Standard deviation of the noise that tells negative contexts apart at the start.
    shared : bool, default=True
        Whether all classes share their contexts. With False each class has its own, and
        `set_vocabulary` cannot take names that were not trained.
    one_stage : bool, default=False
        Whether to train positives and negatives together (the ablation of [1]_) rather than one after
        the other.
    anchor_weight : float, default=50.0
        Weight of 1 - the mean cosine between positives and hand-written prompts [2]_, which keeps a few
        images from bending the positives.
    outlier_weight : float, default=1.0
        Weight of the loss by which the negatives learn to outweigh the positives on words that stand
        for images; see `skneg.prompts.losses.textual_outliers`. Without words it does nothing.
    complementary_weight : float, default=0.0
        Weight of the loss by which the negatives of a class learn to outweigh its positive on images of
        other classes; see `skneg.prompts.losses.complementary` and docs/evidence.md, which has what it
        brought.
    n_rivals : int, default=20
        Classes most alike that count in that loss.
    positive_steps, negative_steps : int, default=50, 50
        Length of each stage; 0 positive steps keep `context_init` as it is.
    step_unit : {"steps", "epochs"}, default="steps"
        What the lengths count.
    optimizer : {"adam", "sgd"}, default="adam"
        ``"sgd"`` is the authors': plain, its rate a cosine with a period of 200 steps.
    learning_rate : float, default=0.005
        Of the optimizer.
    train_batch_size : int, default=1024
        Embeddings per step; all of them where there are no more.
    train_temperature : float, optional
        What cosines are divided by in training; None takes the model's own (0.01 for CLIP).
    classes_per_step : int or None, default=256
        Classes that a step is about where there are more, two at least: it encodes their names alone, and
        takes images of theirs alone. They are drawn anew for each step; before a class comes again, each
        has had its turn, but for those that fill the last draw up. None takes all classes in every step.

    References
    ----------
    .. [1] Li et al., "Learning Transferable Negative Prompts for Out-of-Distribution Detection",
       CVPR 2024.
    .. [2] Yao et al., "Visual-Language Prompt Tuning with Knowledge-guided Context Optimization",
       CVPR 2023.

    Examples
    --------
    >>> from skneg import NegPromptDetector, PromptRecipe
    >>> detector = NegPromptDetector(recipe=PromptRecipe(n_negative=4))
    >>> detector.set_params(recipe__beta=0.2).recipe.beta
    0.2
    """

    def __init__(
        self,
        *,
        n_negative: int = 2,
        n_ctx: int | None = None,
        context_init: str | None = "a photo of a",
        beta: float = 0.1,
        gamma: float = 0.05,
        nis_over: str | None = "negatives",
        negative_init: str = "positive",
        negative_noise: float = 1e-2,
        shared: bool = True,
        one_stage: bool = False,
        anchor_weight: float = 50.0,
        outlier_weight: float = 1.0,
        complementary_weight: float = 0.0,
        n_rivals: int = 20,
        positive_steps: int = 50,
        negative_steps: int = 50,
        step_unit: str = "steps",
        optimizer: str = "adam",
        learning_rate: float = 5e-3,
        train_batch_size: int = 1024,
        train_temperature: float | None = None,
        classes_per_step: int | None = 256,
    ) -> None:
        self.n_negative = n_negative
        self.n_ctx = n_ctx
        self.context_init = context_init
        self.beta = beta
        self.gamma = gamma
        self.nis_over = nis_over
        self.negative_init = negative_init
        self.negative_noise = negative_noise
        self.shared = shared
        self.one_stage = one_stage
        self.anchor_weight = anchor_weight
        self.outlier_weight = outlier_weight
        self.complementary_weight = complementary_weight
        self.n_rivals = n_rivals
        self.positive_steps = positive_steps
        self.negative_steps = negative_steps
        self.step_unit = step_unit
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.train_batch_size = train_batch_size
        self.train_temperature = train_temperature
        self.classes_per_step = classes_per_step

    def steps(self, stage: str, n_images: int, n_classes: int) -> int:
        """Steps of the optimizer in a stage, ``"positive"`` or ``"negative"``.

        An epoch has as many steps as it takes to use all images, and to draw each class once.
        """
        count: int = getattr(self, f"{stage}_steps")
        if self.step_unit == "steps":
            return count
        an_epoch = -(-n_images // self.train_batch_size)
        if self.classes_per_step is not None:
            an_epoch = max(an_epoch, -(-n_classes // self.classes_per_step))
        return count * an_epoch

    def check(self) -> None:
        """Refuse settings that are not usable."""
        _check_common(self)
        check_at_least("n_negative", self.n_negative, 1, Integral)
        check_at_least("n_rivals", self.n_rivals, 1, Integral)
        for name in ("positive_steps", "negative_steps"):
            check_at_least(name, getattr(self, name), 0, Integral)
        for name in (
            "beta",
            "gamma",
            "negative_noise",
            "anchor_weight",
            "outlier_weight",
            "complementary_weight",
        ):
            check_at_least(name, getattr(self, name), 0)
        for name in ("shared", "one_stage"):
            check_option(name, getattr(self, name), (True, False))
        if self.classes_per_step is not None:
            check_at_least("classes_per_step", self.classes_per_step, 2, Integral)
        check_option("nis_over", self.nis_over, ("negatives", "all", None))
        check_option("optimizer", self.optimizer, ("adam", "sgd"))
        check_option("step_unit", self.step_unit, ("steps", "epochs"))
        if not isinstance(self.negative_init, str):
            raise InputError(
                f"negative_init must be 'positive', 'random' or a text, got {self.negative_init!r}."
            )


def _check_common(recipe: CoOpRecipe | PromptRecipe) -> None:
    check_at_least("train_batch_size", recipe.train_batch_size, 1, Integral)
    check_between("learning_rate", recipe.learning_rate, 0, np.inf)
    if recipe.n_ctx is not None:
        check_at_least("n_ctx", recipe.n_ctx, 1, Integral)
    if recipe.train_temperature is not None:
        check_between("train_temperature", recipe.train_temperature, 0, np.inf)
    if recipe.context_init is not None and not isinstance(recipe.context_init, str):
        raise InputError(f"context_init must be a text or None, got {recipe.context_init!r}.")
