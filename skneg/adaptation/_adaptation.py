"""What an adaptation is: a memory that images move, and the score that it makes of a static one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator

from ..errors import InputError

if TYPE_CHECKING:
    from .._state import FittedState

Memory = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Known:
    """Images of known classes, against which an adaptation measures itself.

    Attributes
    ----------
    embeddings : ndarray of shape (m, d), float32
        Those that set the detector's threshold, or a part of them.
    scores : ndarray of shape (m,), float64
        Their static scores, as if they had taught the detector nothing.
    """

    embeddings: np.ndarray
    scores: np.ndarray

    @property
    def spread(self) -> float:
        """Standard deviation of the scores; 1 where they are all the same."""
        return float(self.scores.std()) or 1.0

    def p_values(self, scores: np.ndarray) -> np.ndarray:
        """Conformal p-values of static scores."""
        return (1 + np.searchsorted(np.sort(self.scores), scores, side="right")) / (len(self.scores) + 1)


class Adaptation(BaseEstimator):
    """Base class of the ways in which a stream moves a score.

    An adaptation holds parameters only. What it has seen is its memory: a dict of numbers and arrays that
    `start` makes and `move` replaces; nothing in it changes in place. Scores are measured against images of
    known classes by `StreamDetector`, so any scale will do.
    """

    reference: ClassVar[str] = ""  # authors, venue and year of the paper
    needs_words: ClassVar[bool] = False  # whether the detector must have words beside the class names

    def check(self) -> None:
        """Refuse parameters that are not usable."""

    def start(self, state: FittedState, known: Known, seed: int) -> Memory:
        """The memory before the first image.

        Parameters
        ----------
        state : FittedState
            What the static detector knows, such as its text bank.
        known : Known
        seed : int
        """
        return {}

    def move(self, state: FittedState, known: Known, memory: Memory, Z: np.ndarray, s: np.ndarray) -> Memory:
        """The memory after some more images, in their order.

        Parameters
        ----------
        state, known
            See `start`.
        memory : dict
        Z : ndarray of shape (n, d), float32
            Unit-norm embeddings.
        s : ndarray of shape (n,), float64
            Their static scores.
        """
        raise NotImplementedError

    def score(self, state: FittedState, memory: Memory, Z: np.ndarray, s: np.ndarray) -> np.ndarray:
        """Scores (n,) of images with this memory; larger = more in-distribution."""
        raise NotImplementedError

    def score_known(self, state: FittedState, known: Known, memory: Memory) -> np.ndarray:
        """Scores (m,) of the known images, as if they had taught neither detector nor adaptation."""
        return self.score(state, memory, known.embeddings, known.scores)


def words_of(state: FittedState) -> tuple[np.ndarray, np.ndarray]:
    """Class names (k, d) and words (w, d) of a fitted detector, as text embeddings.

    Raises
    ------
    InputError
        If it has no words.
    """
    bank = getattr(state, "text_bank_", None)
    parts = [] if bank is None else [bank.common, *([] if bank.per_class else [bank.negative])]
    words = np.concatenate(parts) if parts else np.empty((0, 1))
    if bank is None or len(words) == 0:
        raise InputError(
            "this adaptation chooses among words, and the detector has none: take WordsDetector, "
            "NegLabelDetector, CSPDetector or InterNegDetector, or adaptation='nearest'."
        )
    return bank.positive, words


def fields_fit(memory: Mapping[str, Any], like: Mapping[str, Any]) -> bool:
    """Whether a memory, such as one of a file, has the parts of another, of the same kinds and widths."""
    if set(memory) != set(like):
        return False
    for name, part in like.items():
        found = memory[name]
        if isinstance(part, np.ndarray):
            is_array = isinstance(found, np.ndarray) and found.dtype == part.dtype and found.ndim == part.ndim
            if not is_array or found.shape[1:] != part.shape[1:]:
                return False
        elif type(found) is not type(part):
            return False
    return True
