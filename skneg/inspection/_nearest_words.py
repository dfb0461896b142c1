"""The words near prompts: what a learned negative means."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np

from .._state import FittedState
from .._utils import check_at_least, check_option, check_templates, unit_rows
from ..errors import InputError, VocabularyError
from ..words import WordBank, embed_names, embed_words, read_word_bank
from ._tables import NearestWords

_COSINES = 2**24  # alive at a time: 64 MiB in float32


def nearest_words(
    detector: Any,
    words: str | WordBank = "nouns",
    n: int = 10,
    *,
    of: str = "negative",
    template: str = "a photo of a {}",
) -> NearestWords:
    """What prompts mean: the words nearest to each by cosine in the space of texts.

    Parameters
    ----------
    detector : fitted detector
    words : "nouns", or sequence of str, mapping of word to embedding, or pair of words and embeddings
        The words to choose from, and their text embeddings of shape (n_words, d) where they are
        ready: no text tower is used then. By default the nouns of
        ``skneg.datasets.load_words("nouns")``, which are encoded once on a machine. No word is left
        out, class names included.
    n : int, default=10
        Words for each prompt; all of them where there are fewer.
    of : {"negative", "positive", "context"}, default="negative"
        ``"negative"`` and ``"positive"``: the text bank's rows, each class behind each context.
        ``"context"``: each negative context apart from any class, as the mean direction of its
        prompts over the classes.
    template : str, default="a photo of a {}"
        Prompt around each word that is to be encoded.

    Returns
    -------
    NearestWords
        Words and cosines of shape (n_prompts, n), nearest first. Prints as a table.

    Raises
    ------
    InputError, InputTypeError
        If the detector has no such prompts, or a parameter is not usable.
    VocabularyError
        If a word is empty, duplicate, or too long for the text tower.

    Examples
    --------
    >>> from skneg import MCMDetector
    >>> from skneg.datasets import SHAPE_NAMES, make_scenes
    >>> X, y = make_scenes(40, shapes=["star", "heart"], random_state=0)
    >>> detector = MCMDetector(model="skneg-tiny").fit(X, y)
    >>> detector.nearest_words(SHAPE_NAMES, n=1, of="positive")
    positive | nearest words (cosine)
    heart    | heart (1.00)
    star     | star (1.00)
    """
    check_at_least("n", n, 1, Integral)
    check_option("of", of, ("negative", "positive", "context"))
    check_templates("template", [template])
    state = detector._fitted()
    prompts, names, labels = _prompts(detector, state, of)
    listed, embeddings = embedded_words(detector, words, template, prompts.shape[1])
    found, cosines = nearest(prompts, embeddings, n)
    return NearestWords(of, names, np.array(listed)[found], cosines, labels)


def embedded_words(
    detector: Any, words: str | WordBank, template: str, width: int
) -> tuple[Sequence[str], np.ndarray]:
    """The words of a `words` parameter, and their embeddings (n_words, width)."""
    listed: Sequence[str]
    if isinstance(words, str) and words == "nouns":
        from ..datasets import load_words

        listed = load_words("nouns")
        embeddings = embed_words(detector._backbone(), tuple(listed), (template,), detector.verbose)
    else:
        listed, ready = read_word_bank(words, "words")
        embeddings = _embed(detector, listed, template) if ready is None else unit_rows(ready, "words")
    if embeddings.shape[1] != width:
        raise InputError(
            f"the words have embeddings of {embeddings.shape[1]} columns, the detector's have {width}: give "
            "words=(words, embeddings) of the same model."
        )
    return listed, embeddings


def _embed(detector: Any, words: Sequence[str], template: str) -> np.ndarray:
    try:
        return embed_names(detector._backbone().text_tower, words, [template])
    except VocabularyError as error:
        raise VocabularyError(f"words has a word that is too long for the text tower: {error}") from error


def names_of_negatives(state: FittedState) -> list[str]:
    """What to call each negative of a bank: its word, or its class and number."""
    p, m = state.text_bank_.per_class, len(state.text_bank_.negative)
    if p:
        names = state.class_names_
        return [f"{names[row // p]} [{row % p}]" for row in range(m)]
    for attribute in ("negative_words_", "outlier_names_"):  # of the detectors whose negatives are words
        if names := getattr(state, attribute, None):
            return list(names)
    return [f"negative {row}" for row in range(m)]


def _prompts(detector: Any, state: FittedState, of: str) -> tuple[np.ndarray, list[str], np.ndarray | None]:
    """Text embeddings of prompts, what to call each, and the label of its class."""
    who = type(detector).__name__
    if not hasattr(state, "text_bank_"):
        raise InputError(f"{who} knows classes by their images and has no prompts to find words for.")
    bank = state.text_bank_
    if of == "positive":
        return bank.positive, state.class_names_, state.classes_
    if len(bank.negative) == 0:
        raise InputError(
            f"{who} has no negative prompts; nearest_words(of='positive') names the words near its classes."
        )
    if of == "negative":
        labels = np.repeat(state.classes_, bank.per_class) if bank.per_class else None
        return bank.negative, names_of_negatives(state), labels
    if not bank.per_class:
        raise InputError(f"the negatives of {who} belong to no class: use of='negative'.")
    means = bank.negative.reshape(len(bank.positive), bank.per_class, -1).mean(axis=0)
    return unit_rows(means), [f"context {number}" for number in range(bank.per_class)], None


def row_cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", one, other, dtype=np.float64)


def nearest(rows: np.ndarray, candidates: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """For each row the `n` nearest candidates, nearest first, and their cosines, both (len(rows), n)."""
    n = min(n, len(candidates))
    found, cosines = np.empty((len(rows), n), dtype=int), np.empty((len(rows), n))
    step = max(1, _COSINES // len(candidates))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        values = rows[part] @ candidates.T
        # A single one needs no sorting; of equals the first comes first in both.
        order = (
            values.argmax(axis=1)[:, None] if n == 1 else np.argsort(-values, axis=1, kind="stable")[:, :n]
        )
        found[part], cosines[part] = order, np.take_along_axis(values, order, axis=1)
    return found, cosines
