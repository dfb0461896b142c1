"""The members of an ensemble: what they have in common, and their scores on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._fitting import calibration_scores
from .._reading import read_images
from .._state import FittedState
from .._utils import finite
from ..base import OpenSetDetector
from ..errors import InputError, VocabularyError
from ..images import is_embeddings
from ..threshold import p_values, relative_ranks


@dataclass(frozen=True, eq=False)
class Members:
    """Fitted detectors with the state of each, read once; they agree on labels.

    Attributes
    ----------
    detectors : list of detectors
    states : list of FittedState
    """

    detectors: list[OpenSetDetector]
    states: list[FittedState]

    def __post_init__(self) -> None:
        first = self.states[0]
        for position, state in enumerate(self.states[1:], start=1):
            who = " and ".join(f"detectors[{i}] ({type(self.detectors[i]).__name__})" for i in (0, position))
            if first.classes_.tolist() != state.classes_.tolist():
                raise VocabularyError(
                    f"{who} know different classes, or in another order: {first.classes_.tolist()[:5]} and "
                    f"{state.classes_.tolist()[:5]}, {len(first.classes_)} and {len(state.classes_)} in all."
                )
            if first.unknown_label != state.unknown_label:
                raise InputError(
                    f"{who} have different unknown labels: {first.unknown_label!r} and "
                    f"{state.unknown_label!r}."
                )

    def facts(self) -> list[Any]:
        """Everything that their scores depend on, as objects to compare by identity."""
        parameters = [value for detector in self.detectors for value in detector.get_params().values()]
        return [*self.states, *parameters]

    def represent(self, X: Any) -> list[Any]:
        """What each member sees of the images; embeddings of one backbone are computed once."""
        shared: dict[tuple, Any] = {}
        represented = []
        for detector, state in zip(self.detectors, self.states, strict=True):
            read = read_images(detector, X, state)
            if is_embeddings(X) or detector.needs:
                represented.append(detector._represent(read))
                continue
            backbone = (detector.model, detector.pretrained, detector.device, detector.precision)
            if backbone not in shared:
                shared[backbone] = detector._represent(read)
            represented.append(shared[backbone])
        return represented

    def scores(self, represented: Sequence[Any]) -> list[np.ndarray]:
        """Scores of each member."""
        triples = zip(self.detectors, self.states, represented, strict=True)
        return [finite(detector._score(state, Z)) for detector, state, Z in triples]

    def posterior(self, represented: Sequence[Any]) -> np.ndarray:
        """Mean of the closed-set posteriors (n, k)."""
        triples = zip(self.detectors, self.states, represented, strict=True)
        return np.mean([finite(detector._posterior(state, Z)) for detector, state, Z in triples], axis=0)

    def calibration_scores(self) -> list[np.ndarray]:
        """Scores of the images that set each member's threshold, in the order of the images."""
        return [
            calibration_scores(
                detector, state, state.calibrator.images, state.calibrator.names, state.calibrator.shift
            )
            for detector, state in zip(self.detectors, self.states, strict=True)
        ]

    def same_images(self) -> bool:
        """Whether the members' thresholds come from the same images in the same order."""
        # Members that see more of an image than its embedding keep an object with the embedding in it.
        kept = [s.calibrator.images for s in self.states]
        kept = [getattr(images, "embeddings", images) for images in kept]
        names = [s.calibrator.names for s in self.states]
        return all(
            own == names[0] and (images is kept[0] or _equal_arrays(images, kept[0]))
            for own, images in zip(names, kept, strict=True)
        )


def combine(scores: Sequence[np.ndarray], references: Sequence[np.ndarray], method: str) -> np.ndarray:
    """Mean of the members' scores, each on the scale of its sorted reference."""
    place = p_values if method == "p_value" else relative_ranks
    return np.mean([place(own, c) for own, c in zip(scores, references, strict=True)], axis=0)


def _equal_arrays(one: Any, other: Any) -> bool:
    return isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and np.array_equal(one, other)


def differ(one: Any, other: Any) -> bool:
    """Whether two facts are not the same object, nor equal plain values."""
    return one is not other and not (type(one) is type(other) in (int, float, str, bool) and one == other)
