"""Negative prompts without a class name, beside the classes' own: LocalPrompt and ID-like.

References
----------
.. [1] Zeng et al., "Local-Prompt: Extensible Local Prompts for Few-Shot Out-of-Distribution Detection",
   ICLR 2025.
.. [2] Bai et al., "ID-like Prompt Learning for Few-Shot Out-of-Distribution Detection", CVPR 2024.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn import functional

from ..backbone import TextTower
from .coop import descend
from .encoding import PromptEncoder
from .recipe import CoOpRecipe, PromptRecipe
from .training import LearnedPrompts, initial_context

# What stands behind a context that names nothing.
NO_NAME = "."

# Maps the logits of the parts that are like the class, and of those unlike it, to the prompts of the k
# classes and to the m nameless ones, (b, q, k + m) both, the labels (b,) and k to the terms of a loss.
PartsLoss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, int], dict[str, torch.Tensor]]


def local_prompt_loss(top_k: int, negative_weight: float) -> PartsLoss:
    """Local prompts win where the class is, nameless ones where it is not ([1]_).

    On the parts like the class: minus the log of the share that the `top_k` parts most like the class's own
    prompt have of the `top_k` parts of every prompt. On the others, at the `top_k` parts most like the
    class's prompt: minus the log of the share that the nameless prompts have beside the `top_k` parts of each
    class's.

    Parameters
    ----------
    top_k : int
    negative_weight : float
        Of the second term.
    """

    def loss(
        like: torch.Tensor, unlike: torch.Tensor, labels: torch.Tensor, k: int
    ) -> dict[str, torch.Tensor]:
        n = min(top_k, like.shape[1])
        of_label = labels[:, None, None].expand(-1, like.shape[1], 1)
        best = like.topk(n, dim=1).values
        own = best.gather(2, of_label[:, :n]).squeeze(2)
        positive = best.flatten(1).logsumexp(1) - own.logsumexp(1)
        rows = unlike.gather(2, of_label).topk(n, dim=1).indices
        nameless = unlike[:, :, k:]
        nameless = nameless.gather(1, rows.expand(-1, -1, nameless.shape[2])).flatten(1).logsumexp(1)
        classes = unlike[:, :, :k].topk(n, dim=1).values.flatten(1).logsumexp(1)
        negative = torch.logaddexp(nameless, classes) - nameless
        return {"local": positive.mean(), "local_negative": negative_weight * negative.mean()}

    return loss


def id_like_loss(outlier_weight: float) -> PartsLoss:
    """Cross-entropy on the parts like the class, and the classes' share on the others, to be lowered ([2]_).

    Parameters
    ----------
    outlier_weight : float
        Of the mean log of the share.
    """

    def loss(
        like: torch.Tensor, unlike: torch.Tensor, labels: torch.Tensor, k: int
    ) -> dict[str, torch.Tensor]:
        cross_entropy = functional.cross_entropy(like.flatten(0, 1), labels.repeat_interleave(like.shape[1]))
        share = unlike[:, :, :k].logsumexp(2) - unlike.logsumexp(2)
        # The published code adds 1e-16 to the share, below which nothing is gained.
        floor = share.new_tensor(1e-16).log()
        return {
            "cross_entropy": cross_entropy,
            "outliers": outlier_weight * torch.logaddexp(share, floor).mean(),
        }

    return loss


def diversity(prompts: torch.Tensor, positive_part: bool) -> torch.Tensor:
    """Mean cosine of different prompts (m, d); with `positive_part` negative cosines count as 0."""
    cosines = prompts @ prompts.T
    if positive_part:
        cosines = cosines.clamp(min=0)
    m = len(prompts)
    return (cosines.sum() - cosines.diagonal().sum()) / max(m * (m - 1), 1)


def train_beside_nameless(
    text_tower: TextTower,
    class_names: Sequence[str],
    parts: np.ndarray,
    targets: np.ndarray,
    recipe: CoOpRecipe,
    loss: PartsLoss,
    *,
    n_negative: int,
    diversity_weight: float,
    positive_part: bool = False,
    seed: int = 0,
    verbose: bool = False,
) -> LearnedPrompts:
    """Learn a context for the class names and contexts that name nothing, together, by CoOp's recipe.

    Parameters
    ----------
    text_tower : TextTower
    class_names : sequence of str
        k names; all have images.
    parts : ndarray of shape (n, 2, q, d), float32
        Of each image the embeddings of q parts like its class, and of q unlike it.
    targets : ndarray of shape (n,), int
    recipe : CoOpRecipe
    loss : callable
        What `local_prompt_loss` or `id_like_loss` returns.
    n_negative : int
        Nameless contexts.
    diversity_weight : float
        Of `diversity` of the nameless prompts, which has `positive_part`.
    positive_part : bool, default=False
    seed : int, default=0
    verbose : bool, default=False

    Returns
    -------
    LearnedPrompts
        ``negative_context`` has shape (n_negative, n_ctx, width); `embed_nameless` embeds it.
    """
    device, generator = text_tower.device, torch.Generator().manual_seed(seed)
    images = torch.from_numpy(np.ascontiguousarray(parts)).to(device)
    labels = torch.from_numpy(np.ascontiguousarray(targets)).long().to(device)
    temperature = recipe.train_temperature or text_tower.temperature
    start = PromptRecipe(n_ctx=recipe.n_ctx, context_init=recipe.context_init)
    positive = initial_context(text_tower, start, generator).requires_grad_()
    noise = 0.02 * torch.randn(n_negative, *positive.shape, generator=generator)
    negative = noise.to(device).requires_grad_()
    named = PromptEncoder(text_tower, len(positive), class_names)
    unnamed = PromptEncoder(text_tower, len(positive), [NO_NAME])

    def terms(x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
        classes = named(positive[None], normalize=True)[0]
        nameless = unnamed(negative, normalize=True)[:, 0]
        logits = x @ torch.cat([classes, nameless]).T / temperature
        return {
            **loss(logits[:, 0], logits[:, 1], y, len(classes)),
            "diversity": diversity_weight * diversity(nameless, positive_part),
        }

    history = descend(terms, [positive, negative], images, labels, recipe, generator, "joint", verbose)
    return LearnedPrompts(positive.detach().cpu().numpy(), negative.detach().cpu().numpy(), history)


def embed_nameless(text_tower: TextTower, contexts: np.ndarray) -> np.ndarray:
    """Unit-norm float32 embeddings (m, d) of contexts (m, n_ctx, width) that name nothing."""
    from .encoding import embed_contexts

    return embed_contexts(text_tower, contexts, [NO_NAME])[:, 0]
