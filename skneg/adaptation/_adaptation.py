"""What an adaptation is: a memory that images move, and the score that it makes of a static one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator

from .._forks import cached_property
from .._utils import by_blocks
from ..errors import InputError
from ..threshold import p_values

if TYPE_CHECKING:
    from .._state import FittedState

Memory = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Static:
    """A fitted static detector, and images of known classes against which a moved score is measured.

    Attributes
    ----------
    detector : detector
    state : FittedState
        What it knows, such as its text bank; read once.
    embeddings : ndarray of shape (m, d), float32
        The images that set its threshold, or a part of them.
    scores : ndarray of shape (m,), float64
        Their static scores, as if they had taught the detector nothing.
    targets : ndarray of shape (m,), int
        The numbers of their classes; -1 where there is no label.
    groups : ndarray of shape (m,), int
        Which of them belong together, such as views of one image.
    """

    detector: Any
    state: FittedState
    embeddings: np.ndarray
    scores: np.ndarray
    targets: np.ndarray
    groups: np.ndarray

    @property
    def spread(self) -> float:
        """Standard deviation of the scores; 1 where they are all the same."""
        return float(self.scores.std()) or 1.0

    @cached_property
    def texts(self) -> tuple[np.ndarray, np.ndarray]:
        """Class names (k, d) and words (w, d) of the detector, as text embeddings.

        Raises
        ------
        InputError
            If it has no words.
        """
        bank = getattr(self.state, "text_bank_", None)
        parts = [] if bank is None else [bank.common, *([] if bank.per_class else [bank.negative])]
        words = np.concatenate(parts) if parts else np.empty((0, 1))
        if bank is None or len(words) == 0:
            raise InputError(
                "this adaptation chooses among words, and the detector has none: take WordsDetector, "
                "NegLabelDetector, CSPDetector or InterNegDetector, or adaptation='nearest'."
            )
        return bank.positive, words

    @property
    def width(self) -> int:
        """Texts and known images that an image may be compared with."""
        bank = getattr(self.state, "text_bank_", None)
        texts = [] if bank is None else [bank.positive, bank.negative, bank.common]
        return len(self.embeddings) + sum(map(len, texts))

    def p_values(self, scores: np.ndarray) -> np.ndarray:
        """Conformal p-values of static scores."""
        return p_values(scores, np.sort(self.scores))


class Adaptation(BaseEstimator):
    """Base class of the ways in which a stream moves a score.

    An adaptation holds parameters only. What it has seen is its memory: a dict of numbers and arrays that
    `start` makes and `move` replaces; nothing in it changes in place. Scores are measured against images of
    known classes by `StreamDetector`, so any scale will do.
    """

    reference: ClassVar[str] = ""  # authors, venue and year of the paper
    needs_words: ClassVar[bool] = False  # whether the detector must have words beside the class names
    constant: ClassVar[tuple[str, ...]] = ()  # parts of the memory that stay as `start` makes them

    def check(self) -> None:
        """Refuse parameters that are not usable."""

    def start(self, static: Static, seed: int) -> Memory:
        """The memory before the first image.

        Parameters
        ----------
        static : Static
        seed : int
        """
        return {}

    def move(self, static: Static, memory: Memory, Z: np.ndarray, s: np.ndarray) -> Memory:
        """The memory after some more images, in their order.

        Parameters
        ----------
        static : Static
        memory : dict
        Z : ndarray of shape (n, d), float32
            Unit-norm embeddings.
        s : ndarray of shape (n,), float64
            Their static scores.
        """
        raise NotImplementedError

    def score(self, static: Static, memory: Memory, Z: np.ndarray, s: np.ndarray) -> np.ndarray:
        """Scores (n,) of images with this memory; larger = more in-distribution."""
        raise NotImplementedError

    def score_known(self, static: Static, memory: Memory) -> np.ndarray:
        """Scores (m,) of the known images, as if they had taught neither detector nor adaptation."""
        return self.score_in_blocks(static, memory, static.embeddings, static.scores)

    def score_in_blocks(self, static: Static, memory: Memory, Z: np.ndarray, s: np.ndarray) -> np.ndarray:
        """`score` of any number of images, some of them at a time."""
        rows = np.arange(len(Z))
        return by_blocks(rows, static.width, lambda part: self.score(static, memory, Z[part], s[part]))


def alike(one: Adaptation, other: Adaptation) -> bool:
    """Whether two are of one class and have the same parameters; those of one's own may be arrays."""
    own, others = one.get_params(), other.get_params()
    is_same = type(one) is type(other) and own.keys() == others.keys()
    return is_same and all(np.array_equal(own[name], others[name]) for name in own)


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
