"""The text bank: what a detector compares images with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ._utils import by_blocks
from .errors import InputError


@dataclass(frozen=True, eq=False)
class TextBank:
    """Unit-norm text embeddings of the current vocabulary.

    Parameters
    ----------
    positive : ndarray of shape (k, d), float32
        One row for each class, in the order of ``classes_``.
    negative : ndarray of shape (m, d), float32
        Class-major: with p negatives for each class, rows ``i * p`` to ``(i + 1) * p`` belong to
        class i and m = k p. No rows where a method has no negatives.
    per_class : int, default=0
        p; 0 where the negatives belong to no class.
    common : ndarray of shape (w, d), float32, optional
        Further negatives that belong to no class, such as words; no rows by default.
    """

    positive: np.ndarray
    negative: np.ndarray
    per_class: int = 0
    common: np.ndarray = field(default=None)  # type: ignore[assignment, arg-type]

    def __post_init__(self) -> None:
        if self.common is None:
            object.__setattr__(self, "common", self.positive[:0])
        for name in ("positive", "negative", "common"):
            part = getattr(self, name)
            if part.ndim != 2:
                raise InputError(f"a text bank's {name} must be a 2-D array, got {part.ndim}-D.")
            if part.shape[1] != self.positive.shape[1]:
                raise InputError(f"positive has {self.positive.shape[1]} columns, {name} {part.shape[1]}.")
        if self.per_class and len(self.negative) != len(self.positive) * self.per_class:
            raise InputError(
                f"{len(self.positive)} classes with {self.per_class} negatives each need "
                f"{len(self.positive) * self.per_class} rows, negative has {len(self.negative)}."
            )

    @classmethod
    def of_contexts(cls, positive: np.ndarray, negative: np.ndarray, common: np.ndarray | None) -> TextBank:
        """The bank of positives (k, d), negatives (p, k, d) and words (w, d) that belong to no class."""
        per_class, k, d = negative.shape
        by_class = negative.transpose(1, 0, 2).reshape(k * per_class, d)
        return cls(positive, by_class, per_class, common)  # type: ignore[arg-type]

    @classmethod
    def from_positives(cls, positive: np.ndarray) -> TextBank:
        """A bank without negatives."""
        return cls(positive, np.empty((0, positive.shape[1]), dtype=positive.dtype))

    def take(self, classes: Sequence[int]) -> TextBank:
        """The bank of some of the classes, in the given order."""
        negative = self.negative
        if self.per_class:
            grouped = negative.reshape(len(self.positive), self.per_class, -1)
            negative = grouped[list(classes)].reshape(-1, negative.shape[1])
        return TextBank(self.positive[list(classes)], negative, self.per_class, self.common)

    def score(
        self, Z: np.ndarray, score: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """Scores of embeddings, in blocks of rows.

        Parameters
        ----------
        Z : ndarray of shape (n, d), float32
            Unit-norm embeddings.
        score : callable
            From the cosines of a block to the positives (b, k), to the negatives (b, m) and to the common
            words (b, w) to its scores (b,).

        Returns
        -------
        ndarray of shape (n,), float64
        """
        parts = self.positive, self.negative, self.common
        return by_blocks(Z, sum(map(len, parts)), lambda block: score(*(block @ part.T for part in parts)))
