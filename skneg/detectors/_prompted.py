"""What detectors share that learn prompts: which classes are trained, and contexts of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from numbers import Integral
from typing import Any

import numpy as np

from .._validation import check_at_least, check_between
from ..bank import TextBank
from ..base import BaseDetector
from ..errors import InputError, VocabularyError


class PromptDetector(BaseDetector):
    """Base class of the detectors that learn prompts; see `NegPromptDetector` and `CoOpDetector`."""

    n_ctx: int | None
    context_init: str | None
    learning_rate: float
    train_batch_size: int
    train_temperature: float | None

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_at_least("train_batch_size", self.train_batch_size, 1, Integral)
        check_between("learning_rate", self.learning_rate, 0, np.inf)
        if self.n_ctx is not None:
            check_at_least("n_ctx", self.n_ctx, 1, Integral)
        if self.train_temperature is not None:
            check_between("train_temperature", self.train_temperature, 0, np.inf)
        if self.context_init is not None and not isinstance(self.context_init, str):
            raise InputError(f"context_init must be a text or None, got {self.context_init!r}.")

    def _choose_trained(self, targets: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """Note the names that have images; the targets as positions among them.

        Classes without images wait for the bank, as in the paper's open-vocabulary setting.
        """
        present = np.unique(targets)
        if len(present) < 2:
            raise InputError(
                f"prompt learning needs images of at least 2 classes, got 1 class: {names[present[0]]!r}."
            )
        self._trained_names = [names[i] for i in present]
        return np.searchsorted(present, targets)

    def _rows_of(self, names: Sequence[str], why: str) -> list[int]:
        """Which trained class each name is, for contexts that are a class's own."""
        unknown = [name for name in names if name not in self._trained_names]
        if unknown:
            raise VocabularyError(f"{unknown[0]!r} has no context of its own: {why}")
        return [self._trained_names.index(name) for name in names]

    def _embed_contexts(self, contexts: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """Unit-norm embeddings (n_contexts, k, d) of the names behind learned contexts."""
        from ..prompts.training import embed_contexts

        return embed_contexts(self._backbone().text_tower, contexts, names)


def bank_of(features: np.ndarray, negatives: np.ndarray) -> TextBank:
    """The bank of positives (k, d) and negatives (p, k, d)."""
    per_class, k, d = negatives.shape
    return TextBank(features, negatives.transpose(1, 0, 2).reshape(k * per_class, d), per_class)


def recipe_from(detector: Any, recipe: type) -> Any:
    """A training recipe filled with the detector's parameters of the same names."""
    return recipe(**{field.name: getattr(detector, field.name) for field in fields(recipe)})
