"""CoOp's training and what was built on it: LoCoOp, SCT, LSN and FA.

References
----------
.. [1] Zhou et al., "Learning to Prompt for Vision-Language Models", IJCV 2022 (CoOp).
.. [2] Miyai et al., "LoCoOp: Few-Shot Out-of-Distribution Detection via Prompt Learning", NeurIPS 2023.
.. [3] Yu et al., "Self-Calibrated Tuning of Vision-Language Models for OOD Detection", NeurIPS 2024.
.. [4] Nie et al., "Out-of-Distribution Detection with Negative Prompts", ICLR 2024 (LSN).
.. [5] Lu et al., "FA: Forced Prompt Learning of Vision-Language Models for Out-of-Distribution Detection",
   ICCV 2025.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn import functional

from ..backbone import TextTower
from .encoding import PromptEncoder
from .recipe import CoOpRecipe, PromptRecipe
from .training import LearnedPrompts, batches_of, initial_context, minimise

# Maps global and local logits (b, k) and (b, patches, k), and labels (b,), to the terms of a loss. With
# frozen prompts they are (b, 2 k) and (b, patches, 2 k): those of the learned ones come first.
CoOpLoss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], dict[str, torch.Tensor]]

# Maps images and labels of a step to the terms of a loss.
Terms = Callable[[torch.Tensor, torch.Tensor], dict[str, torch.Tensor]]


def coop_loss(whole: torch.Tensor, local: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
    """Cross-entropy of the whole image's logits (b, k) ([1]_)."""
    return {"cross_entropy": functional.cross_entropy(whole, labels)}


def locoop_loss(weight: float, top_k: int, self_calibrated: bool = False) -> CoOpLoss:
    """Cross-entropy, and entropy to be raised where patches do not show the image's class ([2]_).

    Parameters
    ----------
    weight : float
        Of the entropy, which enters with a minus sign.
    top_k : int
        A patch is background where the image's class is not among its `top_k` likeliest.
    self_calibrated : bool, default=False
        Weight each image's cross-entropy by 1 - p and its entropy by p, p the probability of its class
        ([3]_).
    """

    def loss(whole: torch.Tensor, local: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        share = whole.softmax(dim=1).gather(1, labels[:, None]).squeeze(1).detach()
        fit_weight, entropy_weight = (1 - share, share) if self_calibrated else (1.0, torch.ones_like(share))
        cross_entropy = (fit_weight * functional.cross_entropy(whole, labels, reduction="none")).mean()
        nearest = local.topk(min(top_k, local.shape[2]), dim=2).indices
        background = (nearest != labels[:, None, None]).all(dim=2)
        p = local.softmax(dim=2)
        entropy = -(p * (p + 1e-5).log()).sum(dim=2) * entropy_weight[:, None]
        n_background = background.sum().clamp(min=1)
        return {
            "cross_entropy": cross_entropy,
            "entropy": -weight * (entropy * background).sum() / n_background,
        }

    return loss


def fa_loss(n_copies: int) -> CoOpLoss:
    """Cross-entropy of the learned prompts beside copies of the frozen ones ([5]_).

    A softmax over the k learned logits and `n_copies` times the k frozen ones, all of which are wrong: that
    of a class's learned prompt must outweigh its own frozen one too. Copies add their logarithm to a logit.
    """

    def loss(whole: torch.Tensor, local: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        learned, frozen = whole.chunk(2, dim=1)
        beside = torch.cat([learned, frozen + math.log(n_copies)], dim=1)
        return {"cross_entropy": functional.cross_entropy(beside, labels)}

    return loss


def descend(
    terms: Terms,
    parameters: list[torch.Tensor],
    images: torch.Tensor,
    labels: torch.Tensor,
    recipe: CoOpRecipe,
    generator: torch.Generator,
    stage: str,
    verbose: bool,
) -> dict[str, np.ndarray]:
    """CoOp's descent on some parameters; gives every term at every step."""
    optimizer = torch.optim.SGD(parameters, lr=recipe.learning_rate, momentum=0.9, weight_decay=5e-4)
    steps_per_epoch = math.ceil(len(images) / recipe.train_batch_size)
    steps = recipe.n_epochs * steps_per_epoch

    def rate(step: int) -> float:
        epoch = step // steps_per_epoch
        if epoch == 0:
            return 1e-5 / recipe.learning_rate
        return 0.5 * (1 + math.cos(math.pi * epoch / recipe.n_epochs))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    batches = batches_of(images, labels, recipe.train_batch_size, steps, generator)
    return minimise(terms, optimizer, batches, steps, stage, verbose, schedule)


def train_coop(
    text_tower: TextTower,
    class_names: Sequence[str],
    embeddings: np.ndarray,
    targets: np.ndarray,
    recipe: CoOpRecipe,
    loss: CoOpLoss = coop_loss,
    *,
    n_negative: int = 0,
    frozen: bool = False,
    seed: int = 0,
    verbose: bool = False,
) -> LearnedPrompts:
    """Learn a shared positive context, and class-specific negatives where asked, by CoOp's recipe.

    SGD with momentum 0.9 and decay 5e-4, one epoch of warm-up at 1e-5, then a cosine over the epochs
    ([1]_). Images are cached embeddings, so there is no augmentation.

    Parameters
    ----------
    text_tower : TextTower
    class_names : sequence of str
        k names; all have images.
    embeddings : ndarray of shape (n, d) or (n, 1 + patches, d), float32
        Of whole images, or of whole images and their patches.
    targets : ndarray of shape (n,), int
    recipe : CoOpRecipe
    loss : callable, default=coop_loss
        `coop_loss`, or what `locoop_loss` or `fa_loss` returns.
    n_negative : int, default=0
        Class-specific negative contexts to learn afterwards as LSN does ([4]_); 0 for none.
    frozen : bool, default=False
        Whether the loss sees the logits of the prompts that training starts from as well.
    seed : int, default=0
    verbose : bool, default=False

    Returns
    -------
    LearnedPrompts
        ``negative_context`` has shape (n_negative, k, n_ctx, width).
    """
    device, generator = text_tower.device, torch.Generator().manual_seed(seed)
    images = torch.from_numpy(np.ascontiguousarray(embeddings)).to(device)
    images = images[:, None] if images.ndim == 2 else images
    labels = torch.from_numpy(np.ascontiguousarray(targets)).long().to(device)
    temperature = recipe.train_temperature or text_tower.temperature
    start = PromptRecipe(n_ctx=recipe.n_ctx, context_init=recipe.context_init)
    positive = initial_context(text_tower, start, generator).requires_grad_()
    encoder = PromptEncoder(text_tower, positive.shape[0], class_names)
    history: dict[str, np.ndarray] = {}

    def train(terms: Terms, parameter: torch.Tensor, stage: str) -> None:
        history.update(descend(terms, [parameter], images, labels, recipe, generator, stage, verbose))

    beside = images.new_empty(0, images.shape[-1])
    if frozen:
        with torch.no_grad():
            beside = encoder(positive[None], normalize=True)[0]

    def positive_terms(x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
        prompts = torch.cat([encoder(positive[None], normalize=True)[0], beside])
        logits = x @ prompts.T / temperature
        return loss(logits[:, 0], logits[:, 1:], y)

    def negative_terms(x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
        features = encoder(negative, normalize=True)  # (n_negative, k, d)
        logits = (x[:, 0] @ features.mean(dim=0).T) / temperature
        pairs = torch.einsum("ikd,jkd->kij", features, features).triu(diagonal=1)
        return {
            # A class's negatives must be what its own images are least like.
            "negative": functional.cross_entropy(-logits, y),
            "orthogonality": 0.1 * pairs.abs().sum(dim=(1, 2)).mean(),
        }

    train(positive_terms, positive, "positive")
    k, (n_ctx, width) = len(class_names), positive.shape
    negative = torch.zeros(0, k, n_ctx, width)
    if n_negative:
        noise = 0.02 * torch.randn(n_negative, k, n_ctx, width, generator=generator)
        negative = (positive.detach() + noise.to(device)).requires_grad_()
        train(negative_terms, negative, "negative")
    return LearnedPrompts(positive.detach().cpu().numpy(), negative.detach().cpu().numpy(), history)
