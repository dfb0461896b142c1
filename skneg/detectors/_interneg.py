"""Words unlike the images of the known classes as negatives: InterNeg."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils import check_at_least, check_kind, check_templates
from ..bank import TextBank
from ..scores import interneg
from ..words import Words, image_rank
from ._zero_shot import ZeroShotDetector

if TYPE_CHECKING:
    from .._state import FittedState


class InterNegDetector(ZeroShotDetector):
    """Negative words chosen by the *images* of the known classes [1]_, without training.

    A word becomes a negative where it is less like the mean image of every class than the class's own name
    is; those with the largest mean difference come first. The score is the share of the class names against
    random groups of these words. This is the static part of the method: it does not change with the images
    that it scores. A word bank that images have chosen stays when the vocabulary changes.

    Parameters
    ----------
    n_words : int, default=2000
        Negatives to keep; fewer where fewer qualify. Nouns and adjectives in proportion to their lists.
    words : Words, optional
        The list. None is that of nouns and adjectives that ships with skneg. Its `selection` must be
        ``"images"``, and its `fraction` comes on top of `n_words`.
    n_groups : int, default=5
        Random groups of negatives.
    templates : str or sequence of str, default="the nice {}"
        Prompts around class names and nouns; adjectives stand in "this is a {} photo".
    score_temperature : float, default=0.01
        What cosines are divided by.
    random_state : int, RandomState or None, default=None
        Decides the groups of words, the folds and the images that are held out.
    calibration
        See `NegPromptDetector`: images choose the words, so the choice is cross-fitted.
    model, class_names, contamination, text_bank, unknown_label, pretrained, device, precision, \
batch_size, verbose
        See `MCMDetector`. Words go through the text tower of `model` even with a `text_bank`.

    Attributes
    ----------
    text_bank_ : TextBank
        ``negative`` holds the words, in the order of their groups.
    negative_words_ : list of str
        The words, in that order.
    classes_, class_names_, offset_, temperature_, unknown_label_
        See `NegPromptDetector`.

    References
    ----------
    .. [1] "InterNeg: inter-modal negatives for OOD detection", CVPR 2026; the term log C of the score is
       that of "TINS", arXiv 2605.10756.

    Examples
    --------
    >>> from skneg import InterNegDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(60, shapes=["star", "heart"], random_state=0)
    >>> detector = InterNegDetector(model="skneg-tiny", n_words=100, contamination=0.1, random_state=0)
    >>> len(detector.fit(X, y).negative_words_)
    100
    """

    training = "features"
    reference = "InterNeg, CVPR 2026"
    default_words = Words("nouns and adjectives", selection="images", max_cosine=1.01)

    def __init__(
        self,
        *,
        n_words: int = 2000,
        words: Words | None = None,
        n_groups: int = 5,
        templates: str | Sequence[str] = "the nice {}",
        score_temperature: float = 0.01,
        calibration: str | float = "auto",
        random_state: Any = None,
        **shared: Any,
    ) -> None:
        super().__init__(templates=templates, **shared)
        self.n_words = n_words
        self.words = words
        self.n_groups = n_groups
        self.score_temperature = score_temperature
        self.calibration = calibration
        self.random_state = random_state

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_at_least("n_words", self.n_words, 1, Integral)
        check_at_least("n_groups", self.n_groups, 1, Integral)
        if self.words is not None:
            check_kind("words", self.words, Words)
            self.words.check()

    def _listed(self) -> tuple[list[str], np.ndarray]:
        settings = self.default_words if self.words is None else self.words
        return settings.embed(self._backbone(), check_templates("templates", self.templates), self.verbose)

    def _learn(self, Z: Any, targets: Any, names: Sequence[str], seed: int, groups: Any) -> dict[str, Any]:
        words, embeddings = self._listed()
        rank = image_rank(embeddings, Z, targets, self._positives({}, names))
        if (self.default_words if self.words is None else self.words).words == "nouns and adjectives":
            from ..datasets import load_words

            is_noun = rank < len(load_words("nouns"))
            n_nouns = round(self.n_words * len(load_words("nouns")) / len(words))
            order = np.sort(
                np.concatenate(
                    [np.flatnonzero(is_noun)[:n_nouns], np.flatnonzero(~is_noun)[: self.n_words - n_nouns]]
                )
            )
            rank = rank[order]
        return {"image_rank_": rank[: self.n_words], "group_seed_": seed}

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        positive, (words, embeddings) = self._positives(learned, names), self._listed()
        settings = self.default_words if self.words is None else self.words
        kept = settings.choose(words, embeddings, positive, names, learned["image_rank_"])
        kept = np.random.default_rng(learned["group_seed_"]).permutation(kept)
        bank = TextBank(positive, embeddings[kept])
        return {"text_bank_": bank, "negative_words_": [words[row] for row in kept]}

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        n_groups = min(self.n_groups, len(state.text_bank_.negative))
        return state.text_bank_.score(
            Z, lambda positive, negative, _: interneg(positive, negative, self.score_temperature, n_groups)
        )
