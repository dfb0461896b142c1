"""What detectors share that know their classes from text: a bank of text embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..base import OpenSetDetector
from ..errors import VocabularyError
from ..scores import class_posterior

if TYPE_CHECKING:
    from .._state import FittedState
    from ..inspection import NearestWords
    from ..words import WordBank


class TextBankDetector(OpenSetDetector):
    """Base class of detectors whose `_prepare` makes a text bank, ``text_bank_``, from class names."""

    reads_names = True

    def nearest_words(
        self,
        words: str | WordBank = "nouns",
        n: int = 10,
        *,
        of: str = "negative",
        template: str = "a photo of a {}",
    ) -> NearestWords:
        """What prompts mean: the words nearest to each; see `skneg.inspection.nearest_words`."""
        from ..inspection import nearest_words

        return nearest_words(self, words, n, of=of, template=template)

    def _space(self) -> tuple[int | None, float]:
        tower = self._backbone().text_tower
        return tower.embed_dim, tower.temperature

    def _posterior(self, state: FittedState, Z: Any) -> np.ndarray:
        return class_posterior(Z @ state.text_bank_.positive.T, state.temperature_)

    def _score_of_missing(self, state: FittedState, Z: Any, names: list[str]) -> np.ndarray | None:
        missing, owner = sorted(set(names)), np.array(names)
        known = state.class_names_
        try:
            union = self._prepare(state.learned, [*known, *missing])
        except VocabularyError:  # a ready text bank has no row for them
            return None
        scores = np.empty(len(names))
        for number, name in enumerate(missing):
            rows = np.flatnonzero(owner == name)
            model = dict(union)
            if "text_bank_" in union:
                model["text_bank_"] = union["text_bank_"].take([*range(len(known)), len(known) + number])
            scores[rows] = self._score(state.with_classes([*known, name], model), Z[rows])
        return scores
