"""Why a detector answers as it does: the nearest classes and negatives of images, the words near prompts."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ._explained import Explanations, NearestWords
from ._validation import check_at_least, check_option
from ._word_bank import WordBank, encode_once, encode_words, read_word_bank
from .bank import TextBank
from .embedding import unit_rows
from .errors import InputError
from .threshold import p_values
from .vocabulary import mark_unknown

_COSINES = 2**24  # alive at a time: 64 MiB in float32


class ExplanationMixin:
    """What every detector can say beside its answers."""

    model: str
    pretrained: str | None
    device: str
    precision: str
    batch_size: int
    classes_: np.ndarray
    class_names_: list[str]
    text_bank_: TextBank
    offset_: float
    unknown_label_: Any
    calibration_scores_: np.ndarray
    _reads_names: bool

    def explain(self, X: Any) -> Explanations:
        """What lies behind the answer to each image.

        Parameters
        ----------
        X : sequence of images, or array-like of shape (n, d) of floats
            As in `fit`.

        Returns
        -------
        Explanations
            One entry for each image in arrays: the answer, the score and its distance to the threshold,
            the p-value, the two most likely classes and the nearest negative. Prints as a table;
            ``to_dict()`` and ``to_frame()`` give the numbers. Detectors that know classes by their
            images have no cosines, those without negatives say nothing of them.

        Examples
        --------
        >>> from skneg import NegPromptDetector
        >>> from skneg.datasets import make_scenes
        >>> X, y = make_scenes(120, shapes=["star", "heart", "tree"], random_state=0)
        >>> detector = NegPromptDetector(model="skneg-tiny", random_state=0).fit(X, y)
        >>> why = detector.explain(X[:3])
        >>> (why.nearest_class == y[:3]).all() and (why.class_margin > 0).all()
        np.True_
        >>> why.negative_margin.shape
        (3,)
        """
        check_is_fitted(self)
        Z = self._represent(X)  # type: ignore[attr-defined]
        scores, posterior = self._score(Z), self._posterior(Z)  # type: ignore[attr-defined]
        rows = np.arange(len(posterior))
        first = posterior.argmax(axis=1)
        likeliest = posterior[rows, first]
        others = posterior.copy()
        others[rows, first] = -np.inf
        second = others.argmax(axis=1)
        answer = self.classes_[first]
        if self.unknown_label_ is not None:
            answer = mark_unknown(answer, scores < self.offset_, self.unknown_label_)
        cosines = self._cosines_to_bank(_whole_images(self, Z), first, second) if self._reads_names else {}
        return Explanations(
            answer=answer,
            score=scores,
            decision=scores - self.offset_,
            p_value=p_values(scores, self.calibration_scores_),
            nearest_class=self.classes_[first],
            nearest_posterior=likeliest,
            second_class=self.classes_[second],
            second_posterior=posterior[rows, second],
            class_margin=likeliest - posterior[rows, second],
            **cosines,
        )

    def nearest_words(
        self,
        word_bank: WordBank | None = None,
        n: int = 10,
        *,
        of: str = "negative",
        template: str = "a photo of a {}",
    ) -> NearestWords:
        """What prompts mean: the words nearest to each by cosine in the space of texts.

        Parameters
        ----------
        word_bank : sequence of str, mapping of word to embedding, or pair of words and embeddings, optional
            The words to choose from, and their text embeddings of shape (n_words, d) where they are
            ready: no text tower is used then. By default the nouns of
            ``skneg.datasets.load_words("nouns")``, which are encoded once in a process. No word is left
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
        check_is_fitted(self)
        check_at_least("n", n, 1, Integral)
        check_option("of", of, ("negative", "positive", "context"))
        if not isinstance(template, str) or template.count("{}") != 1:
            raise InputError(f"template must be a string with one '{{}}', got {template!r}.")
        prompts, names, labels = self._prompts(of)
        words: Sequence[str]
        if word_bank is None:
            from .datasets import load_words

            words = load_words("nouns")
            embeddings = encode_once(self._backbone().text_tower, words, template)  # type: ignore[attr-defined]
        else:
            words, ready = read_word_bank(word_bank)
            if ready is None:
                tower = self._backbone().text_tower  # type: ignore[attr-defined]
                embeddings = encode_words(tower, words, template)
            else:
                embeddings = unit_rows(ready, "word_bank")
        if embeddings.shape[1] != prompts.shape[1]:
            raise InputError(
                f"the words have embeddings of {embeddings.shape[1]} columns, the detector's prompts of "
                f"{prompts.shape[1]}: give word_bank=(words, embeddings) of the same text tower."
            )
        nearest, cosines = _nearest(prompts, embeddings, n)
        return NearestWords(of, names, np.array(words)[nearest], cosines, labels)

    def _prompts(self, of: str) -> tuple[np.ndarray, list[str], np.ndarray | None]:
        """Text embeddings of prompts, what to call each, and the label of its class."""
        bank = self.text_bank_
        if not self._reads_names:
            raise InputError(
                f"{type(self).__name__} knows classes by their images and has no prompts to find words for."
            )
        if of == "positive":
            return bank.positive, list(self.class_names_), self.classes_
        if len(bank.negative) == 0:
            raise InputError(
                f"{type(self).__name__} has no negative prompts; nearest_words(of='positive') names the "
                "words near its classes."
            )
        if of == "negative":
            labels = np.repeat(self.classes_, bank.per_class) if bank.per_class else None
            return bank.negative, self._names_of_negatives(), labels
        if not bank.per_class:
            raise InputError(f"the negatives of {type(self).__name__} belong to no class: use of='negative'.")
        means = bank.negative.reshape(len(bank.positive), bank.per_class, -1).mean(axis=0)
        return unit_rows(means), [f"context {number}" for number in range(bank.per_class)], None

    def _names_of_negatives(self) -> list[str]:
        p, m = self.text_bank_.per_class, len(self.text_bank_.negative)
        if p:
            return [f"{self.class_names_[row // p]} [{row % p}]" for row in range(m)]
        for attribute in ("negative_words_", "outlier_names_"):  # of the detectors whose negatives are words
            names = getattr(self, attribute, None)
            if names:
                return list(names)
        return [f"negative {row}" for row in range(m)]

    def _names_of_common(self) -> list[str]:
        """What to call the negatives of no class that stand beside those of the classes."""
        return [f"word {row}" for row in range(len(self.text_bank_.common))]

    def _cosines_to_bank(self, Z: np.ndarray, first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
        bank = self.text_bank_
        to_first = _row_cosines(Z, bank.positive[first])
        columns: dict[str, Any] = {
            "nearest_cosine": to_first,
            "second_cosine": _row_cosines(Z, bank.positive[second]),
        }
        if len(bank.common):
            word = _nearest(Z, bank.common, 1)[0][:, 0]
            columns["word"] = np.array(self._names_of_common())[word]
            columns["word_cosine"] = _row_cosines(Z, bank.common[word])
            columns["word_margin"] = to_first - columns["word_cosine"]
        if len(bank.negative) == 0:
            return columns
        negative = _nearest(Z, bank.negative, 1)[0][:, 0]
        cosine = _row_cosines(Z, bank.negative[negative])
        columns |= {
            "negative": negative,
            "negative_name": np.array(self._names_of_negatives())[negative],
            "negative_cosine": cosine,
            "negative_margin": to_first - cosine,
        }
        if bank.per_class:
            columns["negative_class"] = self.classes_[negative // bank.per_class]
        return columns


def _whole_images(detector: Any, Z: Any) -> np.ndarray:
    """The embeddings (n, d) of represented images."""
    if hasattr(Z, "embeddings"):  # with words of each image
        return Z.embeddings
    if isinstance(Z, np.ndarray):
        return Z[:, 0] if Z.ndim == 3 else Z  # with those of patches
    return detector._backbone().image_tower.encode(Z, detector.batch_size)


def _row_cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", one, other, dtype=np.float64)


def _nearest(rows: np.ndarray, candidates: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
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
