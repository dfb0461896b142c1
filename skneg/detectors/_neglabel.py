"""Words unlike the known classes as negatives: NegLabel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils import check_at_least, check_seed, check_templates
from ..bank import TextBank
from ..errors import InputError
from ..scores import neglabel
from ..words import Words, as_words, image_rank
from ._zero_shot import ZeroShotDetector

if TYPE_CHECKING:
    from .._state import FittedState


class NegLabelDetector(ZeroShotDetector):
    """Zero-shot OOD detection with negative labels mined from a word list [1]_.

    Of all words, those least like the class names become negatives; an image is scored by the share of
    softmax mass on the classes, averaged over random groups of negatives.

    Parameters
    ----------
    words : Words, str or sequence of str, optional
        Candidates and which of them become negatives; see `Words`. None is the published choice: the 15 %
        of the nouns and adjectives that ship with skneg that are least like the class names. With a
        `text_bank`, its negatives are the candidates.
    n_groups : int, default=100
        Random groups of negatives; 1 scores with all of them at once.
    templates : str or sequence of str, default="the nice {}"
        Prompts around class names and words; adjectives stand in "this is a {} photo".
    score_temperature : float, default=0.01
        Of the softmax.
    model, class_names, contamination, text_bank, unknown_label, pretrained, device, precision, batch_size, \
verbose
        See `MCMDetector`; `random_state` decides the groups.

    Attributes
    ----------
    text_bank_ : TextBank
        ``negative`` holds the mined words, in the order of their groups.
    negative_words_ : list of str
        The mined words; empty where they came as embeddings.

    References
    ----------
    .. [1] Jiang et al., "Negative Label Guided OOD Detection with Pretrained Vision-Language Models",
       ICLR 2024.

    Examples
    --------
    >>> from skneg import NegLabelDetector, Words
    >>> from skneg.datasets import SHAPE_NAMES, make_scenes
    >>> X, y = make_scenes(40, shapes=["star", "heart"], random_state=0)
    >>> detector = NegLabelDetector(
    ...     model="skneg-tiny", words=Words(SHAPE_NAMES, fraction=0.5), n_groups=1, random_state=0
    ... )
    >>> "star" in detector.fit(X, y).negative_words_
    False
    """

    reference = "Jiang et al., ICLR 2024"
    default_words: Words = Words("nouns and adjectives", fraction=0.15, max_cosine=1.01)
    """What `words=None` stands for."""

    def __init__(
        self,
        *,
        words: Words | str | Sequence[str] | None = None,
        n_groups: int = 100,
        templates: str | Sequence[str] = "the nice {}",
        score_temperature: float = 0.01,
        random_state: Any = None,
        **shared: Any,
    ) -> None:
        super().__init__(templates=templates, **shared)
        self.words = words
        self.n_groups = n_groups
        self.score_temperature = score_temperature
        self.random_state = random_state

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_at_least("n_groups", self.n_groups, 1, Integral)
        self._words().check()

    def _words(self) -> Words:
        return as_words(self.words, self.default_words)

    def _learn(self, Z: Any, targets: Any, names: Sequence[str], seed: int, groups: Any) -> dict[str, Any]:
        return learn_groups(self, self._listed, Z, targets, names)

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        words, candidates = candidates_of(self, self._listed, learned)
        positive = self._positives(learned, names)
        return negatives_beside(self, learned, positive, names, words, candidates)

    def _listed(self) -> tuple[list[str], np.ndarray]:
        return self._words().embed(
            self._backbone(), check_templates("templates", self.templates), self.verbose
        )

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        n_groups = min(self.n_groups, len(state.text_bank_.negative))
        return state.text_bank_.score(
            Z,
            lambda positive, negative, _: neglabel(positive, negative, self.score_temperature, n_groups),
        )


# Candidate words and their embeddings.
Pool = Callable[[], tuple[list[str], np.ndarray]]


def candidates_of(
    detector: NegLabelDetector, pool: Pool, learned: Mapping[str, Any]
) -> tuple[list[str], np.ndarray]:
    """What negatives are chosen from: a ready bank's, which have no words, or those of the pool."""
    bank = detector._ready_bank(learned)
    if bank is None:
        return pool()
    if len(bank.negative) == 0:
        raise InputError("text_bank has no negatives; they are the candidates to mine from.")
    return [], bank.negative


def learn_groups(
    detector: NegLabelDetector, pool: Pool, Z: np.ndarray, targets: np.ndarray | None, names: Sequence[str]
) -> dict[str, Any]:
    """The seed of the groups, which stays when the vocabulary changes, and what images say of words."""
    learned: dict[str, Any] = {"group_seed_": int(check_seed(detector.random_state).randint(2**31 - 1))}
    if detector._words().selection == "images":
        candidates = candidates_of(detector, pool, learned)[1]
        learned["image_rank_"] = image_rank(candidates, Z, targets, detector._positives(learned, names))
    return learned


def negatives_beside(
    detector: NegLabelDetector,
    learned: Mapping[str, Any],
    positive: np.ndarray,
    names: Sequence[str],
    words: list[str],
    candidates: np.ndarray,
    among: np.ndarray | None = None,
    cosines: np.ndarray | None = None,
) -> dict[str, Any]:
    """The bank of class names beside the chosen words, shuffled into groups; the rest as in `choose`."""
    rank = learned.get("image_rank_")
    kept = detector._words().choose(words, candidates, positive, names, rank, among, cosines)
    kept = np.random.default_rng(learned["group_seed_"]).permutation(kept)
    return {
        "text_bank_": TextBank(positive, candidates[kept]),
        "negative_words_": [words[row] for row in kept] if words else [],
    }
