"""Class names against words, without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils import check_templates
from ..bank import TextBank
from ..scores import negative_odds
from ..words import Words, as_words, image_rank
from ._zero_shot import ZeroShotDetector

if TYPE_CHECKING:
    from .._state import FittedState


class WordsDetector(ZeroShotDetector):
    """Zero-shot OOD detection by the log odds of the class names against a list of words.

    The score is ``E(names) - E(words)`` with ``E(c) = T log sum exp(c / T)``, the energy of the cosines at
    temperature T: NegLabel [1]_ with one group and all words that mean no class. Nothing is trained; `fit`
    sets the threshold, and needs no labels. Among the training-free scores of text that were measured here
    it is the strongest (docs/study.md).

    Parameters
    ----------
    words : Words, str or sequence of str, default="nouns"
        The words, and which of them are taken.
    score_temperature : float, optional
        T; the model's own temperature by default (0.01 for CLIP).
    model, class_names, contamination, templates, unknown_label, pretrained, device, precision, \
batch_size, verbose
        See `MCMDetector`. Words stand in the templates too.
    text_bank : TextBank or array-like, optional
        Ready text embeddings; the negatives, where it has any, are the words. See `MCMDetector`.

    Attributes
    ----------
    text_bank_ : TextBank
        ``common`` holds the words.
    words_ : list of str
        The words, in that order; empty where they came as embeddings.
    classes_, class_names_, offset_, temperature_, unknown_label_
        See `NegPromptDetector`.

    References
    ----------
    .. [1] Jiang et al., "Negative Label Guided OOD Detection with Pretrained Vision-Language Models",
       ICLR 2024.

    Examples
    --------
    >>> from skneg import WordsDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(40, shapes=["star", "heart"], random_state=0)
    >>> detector = WordsDetector(model="skneg-tiny").fit(X, y)
    >>> strange, _ = make_scenes(40, shapes=["fish"], random_state=1)
    >>> bool(detector.score_samples(X).mean() > detector.score_samples(strange).mean())
    True
    """

    reference = "after Jiang et al., ICLR 2024"
    one_class = True
    default_words = Words()

    def __init__(
        self,
        *,
        words: Words | str | Sequence[str] | None = "nouns",
        score_temperature: float | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.words = words
        self.score_temperature = score_temperature

    def _check_parameters(self) -> None:
        super()._check_parameters()
        as_words(self.words, self.default_words).check()

    def _listed(self, learned: Mapping[str, Any]) -> tuple[list[str], np.ndarray]:
        bank = self._ready_bank(learned)
        if bank is not None and len(bank.negative):
            return [], bank.negative
        settings = as_words(self.words, self.default_words)
        return settings.embed(self._backbone(), check_templates("templates", self.templates), self.verbose)

    def _learn(self, Z: Any, targets: Any, names: Sequence[str], seed: int, groups: Any) -> dict[str, Any]:
        if as_words(self.words, self.default_words).selection == "text":
            return {}
        return {"image_rank_": image_rank(self._listed({})[1], Z, targets, self._positives({}, names))}

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        positive, (words, embeddings) = self._positives(learned, names), self._listed(learned)
        settings = as_words(self.words, self.default_words)
        rows = settings.choose(words, embeddings, positive, names, learned.get("image_rank_"))
        bank = TextBank(positive, positive[:0], common=embeddings[rows])
        return {"text_bank_": bank, "words_": [words[row] for row in rows] if words else []}

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        temperature = state.temperature_ if self.score_temperature is None else self.score_temperature
        return state.text_bank_.score(
            Z, lambda positive, negative, words: negative_odds(positive, negative, words, temperature)
        )
