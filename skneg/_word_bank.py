"""Words and their embeddings, from what users bring or from the list that ships."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InputError, InputTypeError, VocabularyError

if TYPE_CHECKING:
    from .backbone import TextTower

WordBank = Sequence[str] | Mapping[str, np.ndarray] | tuple[Sequence[str], np.ndarray]


@lru_cache(maxsize=2)
def nouns(
    model: str, pretrained: str | None, device: str, precision: str, template: str
) -> tuple[tuple[str, ...], np.ndarray]:
    """The shipped nouns and their embeddings; one text pass per process."""
    from .backbone import load_backbone
    from .datasets import load_words

    words = load_words("nouns")
    embeddings = encode_words(load_backbone(model, pretrained, device, precision).text_tower, words, template)
    embeddings.setflags(write=False)
    return words, embeddings


def encode_words(tower: TextTower, words: Sequence[str], template: str) -> np.ndarray:
    try:
        return tower.encode([template.format(word) for word in words])
    except VocabularyError as error:
        raise VocabularyError(f"word_bank has a word that is too long for the text tower: {error}") from error


def read_word_bank(word_bank: Any) -> tuple[list[str], np.ndarray | None]:
    """The words, checked, and their embeddings where they are given."""
    embeddings = None
    if isinstance(word_bank, Mapping):
        words, embeddings = list(word_bank), list(word_bank.values())
    elif isinstance(word_bank, tuple) and len(word_bank) == 2 and not isinstance(word_bank[0], str):
        words, embeddings = word_bank
    else:
        words = word_bank
    if isinstance(words, str | bytes | set | frozenset) or not hasattr(words, "__iter__"):
        raise InputTypeError(
            "word_bank must be a sequence of words, a mapping of word to embedding, or a pair (words, "
            f"embeddings), got {words!r}."
        )
    words = list(words)
    seen: dict[str, int] = {}
    for position, word in enumerate(words):
        if not isinstance(word, str):
            raise InputTypeError(f"word_bank[{position}] is {word!r}, expected a word.")
        if not word.strip():
            raise VocabularyError(f"word_bank[{position}] is empty ({word!r}).")
        if word in seen:
            raise VocabularyError(f"word_bank has {word!r} twice: at {seen[word]} and at {position}.")
        seen[word] = position
    if not words:
        raise VocabularyError("word_bank is empty; give at least one word.")
    if embeddings is None:
        return words, None
    try:
        matrix = np.asarray(embeddings, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputTypeError(f"the embeddings of word_bank are no matrix of numbers: {error}") from error
    if matrix.ndim != 2 or len(matrix) != len(words):
        raise InputError(
            f"word_bank has {len(words)} words and embeddings of shape {matrix.shape}; one row for each is "
            "needed."
        )
    return words, matrix
