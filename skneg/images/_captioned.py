"""Images with the words that a caption model has read off each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class CaptionedImages:
    """Embeddings (n, d), the words of each image, and the unit-norm embedding (d,) of each word."""

    embeddings: np.ndarray
    words: list[tuple[str, ...]]
    vectors: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, rows: Any) -> CaptionedImages:
        """Some of the images; `rows` is what selects rows of an array."""
        words = [self.words[row] for row in np.arange(len(self))[rows]]
        return CaptionedImages(self.embeddings[rows], words, self.vectors)

    def as_plain_values(self) -> dict[str, Any]:
        """Arrays and lists that `from_plain_values` takes; words that no image has are left out."""
        distinct = list(dict.fromkeys(word for row in self.words for word in row))
        vectors = [self.vectors[word] for word in distinct]
        return {
            "embeddings": self.embeddings,
            "words": [list(row) for row in self.words],
            "distinct": distinct,
            "vectors": np.stack(vectors) if vectors else self.embeddings[:0],
        }

    @classmethod
    def from_plain_values(
        cls, embeddings: np.ndarray, words: list[list[str]], distinct: list[str], vectors: np.ndarray
    ) -> CaptionedImages:
        named = dict(zip(distinct, vectors, strict=True))
        return cls(embeddings, [tuple(row) for row in words], named)
