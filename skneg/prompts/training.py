"""The training loop: positive contexts first (CoOp), then negatives beside the frozen positives.

References
----------
.. [1] Li et al., "Learning Transferable Negative Prompts for Out-of-Distribution Detection", CVPR 2024.
.. [2] Zhou et al., "Learning to Prompt for Vision-Language Models", IJCV 2022 (CoOp).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from tqdm.auto import tqdm

from ..backbone import TextTower
from ..errors import InputError, SknegError
from .encoding import PromptEncoder, encode_prompts
from .losses import nis, nnd, npd


@dataclass(frozen=True)
class PromptRecipe:
    """How prompts are trained; the fields are `NegPromptDetector`'s parameters of the same names."""

    n_ctx: int | None = None
    context_init: str | None = "a photo of a"
    n_negative: int = 2
    beta: float = 0.1
    gamma: float = 0.05
    nis_over: str = "negatives"
    negative_noise: float = 1e-2
    shared: bool = True
    one_stage: bool = False
    positive_steps: int = 10
    negative_steps: int = 100
    learning_rate: float = 2e-3
    train_batch_size: int = 1024
    train_temperature: float | None = None


@dataclass
class LearnedPrompts:
    """What training yields; arrays are float32.

    Attributes
    ----------
    positive_context : ndarray of shape (n_ctx, width) or (k, n_ctx, width)
    negative_context : ndarray of shape (p, n_ctx, width) or (p, k, n_ctx, width)
    history : dict of str to ndarray of shape (steps,)
        Each loss term at each step, under ``"<stage>/<term>"``.
    """

    positive_context: np.ndarray
    negative_context: np.ndarray
    history: dict[str, np.ndarray] = field(default_factory=dict)


def context_from_text(text_tower: TextTower, text: str) -> torch.Tensor:
    """The token vectors (n_ctx, width) of a hand-written context such as "a photo of a"."""
    probe = text_tower.tokenize(["x", f"{text} x", "x x"])
    start = 0 if probe[2, 0] == probe[2, 1] else 1
    placeholder = probe[0, start]
    ends = (probe[1] == placeholder).nonzero().flatten()
    if not text.strip() or len(ends) == 0:
        raise InputError(f"context_init={text!r} gives no tokens.")
    ids = probe[1, start : int(ends[-1])]
    if len(ids) == 0:
        raise InputError(f"context_init={text!r} gives no tokens.")
    return text_tower.token_embedding(ids).detach().float()


def embed_contexts(text_tower: TextTower, contexts: np.ndarray, class_names: Sequence[str]) -> np.ndarray:
    """Unit-norm float32 embeddings (n_contexts, k, d), by `encode_prompts`, of names behind contexts."""
    with torch.no_grad():
        vectors = torch.from_numpy(np.ascontiguousarray(contexts)).to(text_tower.device)
        return encode_prompts(text_tower, vectors, class_names, normalize=True).cpu().numpy()


def train_prompts(
    text_tower: TextTower,
    class_names: Sequence[str],
    embeddings: np.ndarray,
    targets: np.ndarray,
    recipe: PromptRecipe,
    *,
    seed: int = 0,
    verbose: bool = False,
) -> LearnedPrompts:
    """Learn positive and negative contexts from a few image embeddings per class ([1]_, section 3.2).

    Parameters
    ----------
    text_tower : TextTower
    class_names : sequence of str
        k names; all have images.
    embeddings : ndarray of shape (n, d), float32
        Unit-norm image embeddings.
    targets : ndarray of shape (n,), int
        Which name each image has.
    recipe : PromptRecipe
    seed : int, default=0
        Decides initial noise and mini-batches.
    verbose : bool, default=False
        Whether to show progress bars.

    Returns
    -------
    LearnedPrompts

    Raises
    ------
    SknegError
        If a loss stops being finite.
    InputError, VocabularyError
        If the recipe or a name does not fit the tower.
    """
    device = text_tower.device
    generator = torch.Generator().manual_seed(seed)
    images = torch.from_numpy(np.ascontiguousarray(embeddings)).to(device)
    labels = torch.from_numpy(np.ascontiguousarray(targets)).long().to(device)
    temperature = recipe.train_temperature or text_tower.temperature

    positive = initial_context(text_tower, recipe, generator)
    if not recipe.shared:
        positive = positive.expand(len(class_names), -1, -1).clone()
    encoder = PromptEncoder(text_tower, positive.shape[-2], class_names)

    def batches(steps: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        return batches_of(images, labels, recipe.train_batch_size, steps, generator)

    def classify(positives: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(x @ positives.T / temperature, y)

    def separate(
        positives: torch.Tensor, negatives: torch.Tensor, x: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        to_negatives = x @ negatives.flatten(0, 1).T / temperature
        to_positives = x @ positives.T / temperature if recipe.nis_over == "all" else None
        return {
            "nis": nis(to_negatives, to_positives, over=recipe.nis_over),
            "npd": recipe.beta * npd(negatives, positives),
            "nnd": recipe.gamma * nnd(negatives),
        }

    def descend(loss_terms: Any, parameters: list[torch.Tensor], steps: int, stage: str) -> None:
        optimizer = torch.optim.Adam(parameters, lr=recipe.learning_rate)
        history.update(minimise(loss_terms, optimizer, batches(steps), steps, stage, verbose))

    history: dict[str, np.ndarray] = {}
    if recipe.one_stage:
        positive.requires_grad_()
        negative = _near(positive, recipe, generator).requires_grad_()

        def joint_loss(x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
            features = encoder(torch.cat([positive[None], negative]), normalize=True)
            return {
                "cross_entropy": classify(features[0], x, y),
                **separate(features[0], features[1:], x),
            }

        steps = max(recipe.positive_steps, recipe.negative_steps)
        descend(joint_loss, [positive, negative], steps, "joint")
    else:
        positive.requires_grad_()

        def positive_loss(x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"cross_entropy": classify(encoder(positive[None], normalize=True)[0], x, y)}

        steps = recipe.positive_steps
        descend(positive_loss, [positive], steps, "positive")
        positive.requires_grad_(False)
        with torch.no_grad():
            positives = encoder(positive[None], normalize=True)[0]
        negative = _near(positive, recipe, generator).requires_grad_()

        def negative_loss(x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
            return separate(positives, encoder(negative, normalize=True), x)

        steps = recipe.negative_steps
        descend(negative_loss, [negative], steps, "negative")
    return LearnedPrompts(
        positive_context=positive.detach().cpu().numpy(),
        negative_context=negative.detach().cpu().numpy(),
        history=history,
    )


def initial_context(tower: TextTower, recipe: PromptRecipe, generator: torch.Generator) -> torch.Tensor:
    """The positive context (n_ctx, width) that training starts from."""
    if recipe.context_init is None:
        n_ctx = 16 if recipe.n_ctx is None else recipe.n_ctx
        return (0.02 * torch.randn(n_ctx, tower.width, generator=generator)).to(tower.device)
    context = context_from_text(tower, recipe.context_init)
    if recipe.n_ctx not in (None, len(context)):
        raise InputError(
            f"n_ctx={recipe.n_ctx}, but context_init={recipe.context_init!r} has {len(context)} tokens; "
            "leave n_ctx=None, or pass context_init=None for a random start."
        )
    return context


def _near(positive: torch.Tensor, recipe: PromptRecipe, generator: torch.Generator) -> torch.Tensor:
    """Negative contexts (p, ...): the positive one and a little noise, different for each."""
    shape = (recipe.n_negative, *positive.shape)
    noise = torch.randn(shape, generator=generator).to(positive.device)
    return positive.detach() + recipe.negative_noise * noise


def batches_of(
    images: torch.Tensor,
    labels: torch.Tensor,
    batch_size: int,
    steps: int,
    generator: torch.Generator,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """All images at every step, or shuffled mini-batches, epoch after epoch."""
    n = len(images)
    if n <= batch_size:
        for _ in range(steps):
            yield images, labels
        return
    done = 0
    while done < steps:
        order = torch.randperm(n, generator=generator).to(images.device)
        for rows in order.split(batch_size)[: steps - done]:
            done += 1
            yield images[rows], labels[rows]


def minimise(
    loss_terms: Callable[[torch.Tensor, torch.Tensor], dict[str, torch.Tensor]],
    optimizer: torch.optim.Optimizer,
    batches: Iterator[tuple[torch.Tensor, torch.Tensor]],
    steps: int,
    stage: str,
    verbose: bool,
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
) -> dict[str, np.ndarray]:
    """Minimise the sum of the terms; returns every term at every step."""
    record: dict[str, list[float]] = {}
    with tqdm(batches, total=steps, desc=f"{stage} prompts", unit="step", disable=not verbose) as bar:
        for step, (x, y) in enumerate(bar):
            terms = loss_terms(x, y)
            total = torch.stack(list(terms.values())).sum()
            if not bool(torch.isfinite(total)):
                raise SknegError(
                    f"the {stage} loss stopped being finite at step {step}; lower learning_rate "
                    f"(now {optimizer.param_groups[0]['lr']})."
                )
            optimizer.zero_grad(set_to_none=True)
            total.backward()
            optimizer.step()
            if schedule is not None:
                schedule.step()
            for name, term in {**terms, "total": total}.items():
                record.setdefault(f"{stage}/{name}", []).append(float(term.detach()))
            bar.set_postfix(loss=f"{float(total.detach()):.3f}", refresh=False)
    return {name: np.array(values) for name, values in record.items()}
