"""What detectors share whose negative prompts name nothing and learn from parts unlike the class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..words import embed_names
from ._prompt import PromptDetector, trained_classes

_TEMPLATE = "a photo of a {}"


def learn_beside_nameless(
    detector: PromptDetector,
    parts: np.ndarray,
    targets: Any,
    names: Sequence[str],
    seed: int,
    loss: Callable[..., Any],
    n_parts: int,
    **options: Any,
) -> dict[str, Any]:
    """Train on the parts of images most and least like their class's name; `options` as in the trainer.

    Parameters
    ----------
    detector : PromptDetector
    parts : ndarray of shape (n, p, d)
    targets : ndarray of shape (n,), int
    names : sequence of str
    seed : int
    loss : callable
    n_parts : int
        Parts of each kind; half of them at the most.
    """
    from ..prompts.nameless import embed_nameless, train_beside_nameless

    trained, targets = trained_classes(targets, names)
    tower = detector._backbone().text_tower
    anchors = embed_names(tower, trained, [_TEMPLATE])
    learned = train_beside_nameless(
        tower,
        trained,
        most_and_least_like(parts, anchors[targets], min(n_parts, parts.shape[1] // 2)),
        targets,
        detector._recipe(),
        loss,
        seed=seed,
        verbose=bool(detector.verbose),
        **options,
    )
    return {
        "positive_context_": learned.positive_context,
        "negative_context_": learned.negative_context,
        "nameless_": embed_nameless(tower, learned.negative_context),
        "history_": learned.history,
        "trained_names_": trained,
    }


def most_and_least_like(parts: np.ndarray, texts: np.ndarray, n: int) -> np.ndarray:
    """The n parts most like a text and the n least like it.

    Parameters
    ----------
    parts : ndarray of shape (m, p, d)
    texts : ndarray of shape (m, d)
        A text for each image.
    n : int

    Returns
    -------
    ndarray of shape (m, 2, n, d)
    """
    order = np.argsort(-np.einsum("mpd,md->mp", parts, texts), axis=1, kind="stable")
    chosen = np.stack([order[:, :n], order[:, -n:]], axis=1)
    return parts[np.arange(len(parts))[:, None, None], chosen]
