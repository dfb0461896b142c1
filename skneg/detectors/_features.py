"""What detectors share that know a class by its images, on scikit-learn's estimators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..base import OpenSetDetector
from ..errors import VocabularyError


class FeatureDetector(OpenSetDetector):
    """Base class of detectors that know a class by its images; names are labels only.

    `set_vocabulary` can drop classes, bring them back, and add new ones with their images.
    """

    training = "features"

    def __init__(self, *, calibration: str | float = "auto", random_state: Any = None, **shared: Any) -> None:
        super().__init__(**shared)
        self.calibration = calibration
        self.random_state = random_state

    def _learn(self, Z: Any, targets: Any, names: Sequence[str], seed: int, groups: Any) -> dict[str, Any]:
        return kept_images(type(self).__name__, Z, targets, names, seed, groups)


def kept_images(
    whose: str, Z: Any, targets: np.ndarray, names: Sequence[str], seed: int, groups: np.ndarray | None
) -> dict[str, Any]:
    """All training images with their names and groups, as fitted attributes; each class needs one."""
    present = np.unique(targets)
    if len(present) < len(names):
        absent = next(name for i, name in enumerate(names) if i not in present)
        raise VocabularyError(f"class {absent!r} has no images, and {whose} knows a class by its images.")
    owners = np.array([names[target] for target in targets])
    groups = np.arange(len(Z)) if groups is None else groups
    return {"seed_": seed, "train_embeddings_": Z, "train_names_": owners, "train_groups_": groups}


def training_rows(
    learned: Mapping[str, Any], names: Sequence[str], whose: str
) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of the named classes' training images, and the number of each one's name."""
    owners = learned["train_names_"]
    for name in names:
        if name not in owners:
            raise VocabularyError(
                f"{whose} knows classes by their images and has none of {name!r}; fit again with images "
                "of it."
            )
    rows = np.isin(owners, names)
    order = {name: i for i, name in enumerate(names)}
    # The same array where all are wanted: a file then holds it once.
    embeddings = learned["train_embeddings_"] if rows.all() else learned["train_embeddings_"][rows]
    return embeddings, np.array([order[name] for name in owners[rows]])
