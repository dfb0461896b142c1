"""Words as negatives of no class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._validation import check_between
from .._word_bank import check_words
from ..base import BaseDetector

_HAND_WRITTEN = "a photo of a"
_NOUNS = "nouns"


class WordNegativesMixin(BaseDetector):
    """For detectors with parameters `words`, `max_word_cosine` and `context_init`."""

    words: str | Sequence[str] | None
    max_word_cosine: float
    context_init: str | None

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_between("max_word_cosine", self.max_word_cosine, -1, 1 + 1e-9)
        if self.words is not None and not (isinstance(self.words, str) and self.words == _NOUNS):
            check_words(self.words)

    def _hand_written(self, names: Sequence[str]) -> np.ndarray:
        """Embeddings (k, d) of names or words behind the hand-written context."""
        from ..prompts.training import embed_words

        context = _HAND_WRITTEN if self.context_init is None else self.context_init
        return embed_words(self._backbone().text_tower, tuple(names), context)

    def _word_negatives(self, names: Sequence[str]) -> np.ndarray:
        """Embeddings (w, d) of the words that mean none of the names."""
        if self.words is None:
            return np.empty((0, self._backbone().text_tower.embed_dim), dtype=np.float32)
        return self._hand_written(self._word_list())[self._is_no_name(names)]

    def _names_of_common(self) -> list[str]:
        if self.words is None:
            return []
        return np.array(self._word_list())[self._is_no_name(self.class_names_)].tolist()

    def _word_list(self) -> Sequence[str]:
        if isinstance(self.words, str):
            from ..datasets import load_words

            return load_words(self.words)
        return list(self.words or ())

    def _is_no_name(self, names: Sequence[str]) -> np.ndarray:
        """Which words are less like every name than `max_word_cosine`."""
        likeness = self._hand_written(self._word_list()) @ self._hand_written(names).T
        return likeness.max(axis=1) < self.max_word_cosine
