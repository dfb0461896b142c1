"""The training loop: positive contexts first (CoOp), then negatives beside the frozen positives.

References
----------
.. [1] Li et al., "Learning Transferable Negative Prompts for Out-of-Distribution Detection", CVPR 2024.
.. [2] Zhou et al., "Learning to Prompt for Vision-Language Models", IJCV 2022 (CoOp).
.. [3] Yao et al., "Visual-Language Prompt Tuning with Knowledge-guided Context Optimization",
   CVPR 2023 (KgCoOp).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from sklearn.base import clone

from .._progress import progress_bar
from ..backbone import TextTower
from ..backbone._pair import of_text_alone
from ..errors import InputError, SknegError
from .encoding import PromptEncoder, context_from_text
from .objective import Objective
from .recipe import PromptRecipe

# The classes that a step is about, in ascending order; None for all.
Classes = torch.Tensor | None


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


def train_prompts(
    text_tower: TextTower,
    class_names: Sequence[str],
    embeddings: np.ndarray,
    targets: np.ndarray,
    recipe: PromptRecipe,
    *,
    anchors: np.ndarray | None = None,
    words: np.ndarray | None = None,
    start: np.ndarray | None = None,
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
    anchors : ndarray of shape (k, d), optional
        The names' hand-written prompts, which the positives are drawn to ([3]_).
    words : ndarray of shape (w, d), optional
        Words that stand beside the classes in the cross-entropy and teach the negatives as outliers.
    start : ndarray of shape (n_ctx, width), optional
        The positive context that training starts from, such as one already learned, which stays as it is
        with ``recipe.positive_steps=0``. By default ``recipe.context_init``.
    seed : int, default=0
        Decides initial noise, and classes, mini-batches and outliers of each step.
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
    text_tower, embeddings, anchors, words = of_text_alone(text_tower, embeddings, anchors, words)
    generator = torch.Generator().manual_seed(seed)
    positive = initial_context(text_tower, recipe, generator)
    if start is not None:
        positive = torch.from_numpy(start).to(text_tower.device)
    if not recipe.shared:
        positive = positive.expand(len(class_names), -1, -1).clone()

    def encoder_of(contexts: torch.Tensor) -> PromptEncoder:
        return PromptEncoder(text_tower, contexts.shape[-2], class_names)

    encoder = encoder_of(positive)
    objective = Objective(text_tower, recipe, embeddings, targets, anchors, words, generator)
    history: dict[str, np.ndarray] = {}

    def descend(terms: Callable[..., Any], parameters: list[torch.Tensor], steps: int, stage: str) -> None:
        optimizer, schedule = _optimizer(parameters, recipe)
        batches = _batches(objective, recipe, k, steps, generator)
        history.update(minimise(terms, optimizer, batches, steps, stage, verbose, schedule))

    n, k = len(objective.images), len(class_names)
    if recipe.one_stage:
        positive.requires_grad_()
        negative = _start_of_negatives(text_tower, positive, recipe, generator)
        negative_encoder = encoder_of(negative)

        def joint(x: torch.Tensor, rows: torch.Tensor, classes: Classes) -> dict[str, torch.Tensor]:
            positives = encoder(positive[None], normalize=True, rows=classes)[0]
            negatives = negative_encoder(negative, normalize=True, rows=classes)
            return {
                **objective.of_positives(positives, x, rows, classes),
                **objective.of_negatives(positives, negatives, x, rows, classes),
            }

        steps = max(recipe.steps("positive", n, k), recipe.steps("negative", n, k))
        descend(joint, [positive, negative], steps, "joint")
    else:
        positive.requires_grad_()

        def first(x: torch.Tensor, rows: torch.Tensor, classes: Classes) -> dict[str, torch.Tensor]:
            positives = encoder(positive[None], normalize=True, rows=classes)[0]
            return objective.of_positives(positives, x, rows, classes)

        descend(first, [positive], recipe.steps("positive", n, k), "positive")
        positive.requires_grad_(False)
        with torch.no_grad():
            positives = encoder(positive[None], normalize=True)[0]
        negative = _start_of_negatives(text_tower, positive, recipe, generator)
        negative_encoder = encoder_of(negative)

        def second(x: torch.Tensor, rows: torch.Tensor, classes: Classes) -> dict[str, torch.Tensor]:
            negatives = negative_encoder(negative, normalize=True, rows=classes)
            beside = positives if classes is None else positives[classes]
            return objective.of_negatives(beside, negatives, x, rows, classes)

        descend(second, [negative], recipe.steps("negative", n, k), "negative")
    return LearnedPrompts(
        positive_context=positive.detach().cpu().numpy(),
        negative_context=negative.detach().cpu().numpy(),
        history=history,
    )


def train_positives_without(
    text_tower: TextTower,
    class_names: Sequence[str],
    embeddings: np.ndarray,
    targets: np.ndarray,
    recipe: PromptRecipe,
    part: np.ndarray,
    *,
    anchors: np.ndarray,
    words: np.ndarray,
    seed: int = 0,
    verbose: bool = False,
) -> np.ndarray:
    """Positive contexts (n_parts, n_ctx, width), each learned from the images of all parts but one.

    Parameters
    ----------
    part : ndarray of shape (n,), int
        Which part each image is in; those of the others must be of 2 classes at least. All other
        parameters are those of `train_prompts`; contexts must be shared by the classes.
    """
    positives_alone = clone(recipe).set_params(negative_steps=0)
    contexts = []
    for left_out in range(part.max() + 1):
        rest = part != left_out
        present, numbers = np.unique(targets[rest], return_inverse=True)
        learned = train_prompts(
            text_tower,
            [class_names[c] for c in present],
            embeddings[rest],
            numbers,
            positives_alone,
            anchors=anchors[present],
            words=words,
            seed=seed,
            verbose=verbose,
        )
        contexts.append(learned.positive_context)
    return np.stack(contexts)


def _optimizer(
    parameters: list[torch.Tensor], recipe: PromptRecipe
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler | None]:
    if recipe.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=recipe.learning_rate), None
    optimizer = torch.optim.SGD(parameters, lr=recipe.learning_rate)
    # As in the authors' code, where the period counts steps and not epochs: the rate never stays low.
    return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=100)


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


def _start_of_negatives(
    tower: TextTower, positive: torch.Tensor, recipe: PromptRecipe, generator: torch.Generator
) -> torch.Tensor:
    """Negative contexts (p, ...) to train: a common start and a little noise, different for each."""
    start = positive.detach()
    if recipe.negative_init == "random":
        start = (0.02 * torch.randn(start.shape, generator=generator)).to(start.device)
    elif recipe.negative_init != "positive":
        start = context_from_text(tower, recipe.negative_init)
        if not recipe.shared:
            start = start.expand(len(positive), -1, -1)
    noise = torch.randn((recipe.n_negative, *start.shape), generator=generator).to(start.device)
    return (start + recipe.negative_noise * noise).requires_grad_()


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


def batches_of_classes(
    labels: torch.Tensor,
    n_classes: int,
    per_step: int,
    batch_size: int,
    steps: int,
    generator: torch.Generator,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Classes drawn for each step, and rows of images of theirs.

    Parameters
    ----------
    labels : Tensor of shape (n,), int
        Which of `n_classes` classes each image is of.
    per_step : int
        Classes a step, fewer than there are. Each has its turn before any comes again; in the last draw of
        such a round some come again, so that all draws are of one size.
    batch_size : int
        Images a step at most.
    steps : int
    generator : torch.Generator

    Yields
    ------
    classes : Tensor of shape (per_step,), int
        In ascending order.
    rows : Tensor of shape (b,), int
    """
    done = 0
    while done < steps:
        order = torch.randperm(n_classes, generator=generator)
        order = torch.cat([order, order[: -n_classes % per_step]])
        for drawn in order.split(per_step)[: steps - done]:
            done += 1
            classes = drawn.sort().values.to(labels.device)
            rows = torch.isin(labels, classes).nonzero().squeeze(1)
            if len(rows) > batch_size:
                some = torch.randperm(len(rows), generator=generator)[:batch_size]
                rows = rows[some.to(rows.device)]
            yield classes, rows


def _batches(
    objective: Objective, recipe: PromptRecipe, n_classes: int, steps: int, generator: torch.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor, Classes]]:
    """Images of each step, which of all they are, and the classes that the step is about."""
    if recipe.classes_per_step is None or n_classes <= recipe.classes_per_step:
        images, size = objective.images, recipe.train_batch_size
        for x, rows in batches_of(images, objective.rows, size, steps, generator):
            yield x, rows, None
        return
    for classes, rows in batches_of_classes(
        objective.labels, n_classes, recipe.classes_per_step, recipe.train_batch_size, steps, generator
    ):
        yield objective.images[rows], rows, classes


def minimise(
    loss_terms: Callable[..., dict[str, torch.Tensor]],
    optimizer: torch.optim.Optimizer,
    batches: Iterator[tuple[Any, ...]],
    steps: int,
    stage: str,
    verbose: bool,
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
) -> dict[str, np.ndarray]:
    """Minimise the sum of the terms of each batch; returns every term at every step."""
    record: dict[str, list[float]] = {}
    with progress_bar(steps, f"{stage} prompts", "step", verbose and steps) as bar:
        for step, batch in enumerate(batches):
            terms = loss_terms(*batch)
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
            bar.update(1)
    return {name: np.array(values) for name, values in record.items()}
