"""What detectors share that know a class by its name and by its images, both hand in hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ._features import kept_images
from ._zero_shot import ZeroShotDetector

if TYPE_CHECKING:
    from .._state import FittedState


class NamedImagesDetector(ZeroShotDetector):
    """Base class of detectors that keep the training images beside hand-written prompts.

    A name alone is refused, as by `FeatureDetector`: what images say for all other classes would be missing
    for it alone, and its images would get the others' names.
    """

    training = "features"
    needs_images = True

    def __init__(self, *, calibration: str | float = "auto", random_state: Any = None, **shared: Any) -> None:
        super().__init__(**shared)
        self.calibration = calibration
        self.random_state = random_state

    def _learn(self, Z: Any, targets: Any, names: Sequence[str], seed: int, groups: Any) -> dict[str, Any]:
        return kept_images(type(self).__name__, Z, targets, names, seed, groups)

    def _score_of_missing(self, state: FittedState, Z: Any, names: list[str]) -> np.ndarray | None:
        return None
