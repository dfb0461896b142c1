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


@lru_cache(maxsize=4)
def encode_once(tower: TextTower, words: tuple[str, ...], template: str) -> np.ndarray:
    """Read-only embeddings (w, d) of words in a prompt; one text pass per process and list."""
    embeddings = encode_words(tower, words, template)
    embeddings.setflags(write=False)
    return embeddings


def encode_words(tower: TextTower, words: Sequence[str], template: str) -> np.ndarray:
    try:
        return tower.encode([template.format(word) for word in words])
    except VocabularyError as error:
        raise VocabularyError(
            f"the word list has a word that is too long for the text tower: {error}"
        ) from error


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
    check_words(words, "word_bank")
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


def check_words(words: Any, parameter: str = "words", *, fold: bool = False) -> None:
    """Words must be distinct texts, at least one; with `fold`, case and blanks around them do not count."""
    if isinstance(words, str):
        raise InputTypeError(f"{parameter} is one string ({words!r}); give a sequence of words.")
    seen: dict[str, int] = {}
    for row, word in enumerate(words):
        if not isinstance(word, str):
            raise InputTypeError(f"{parameter}[{row}] is {word!r}, expected a word.")
        if not word.strip():
            raise VocabularyError(f"{parameter}[{row}] is empty ({word!r}).")
        key = word.strip().casefold() if fold else word
        if key in seen:
            raise VocabularyError(f"{parameter} has {word!r} twice, at {seen[key]} and {row}.")
        seen[key] = row
    if not seen:
        raise VocabularyError(f"{parameter} is empty; give at least one word.")
