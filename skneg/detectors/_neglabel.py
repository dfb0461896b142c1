"""Words unlike the known classes as negatives: NegLabel and CSP."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_random_state

from .._validation import check_at_least, check_between
from .._word_bank import check_words
from ..bank import TextBank
from ..errors import InputError, VocabularyError
from ..scores import neglabel
from ..vocabulary import Vocabulary
from ._text import TextDetector

if TYPE_CHECKING:
    from ..backbone import TextTower

_SUPERCLASSES = (
    "scene", "object", "place", "creature", "material", "surface", "space", "structure", "item",
    "landscape", "pattern", "view", "thing", "area",
)  # fmt: skip


class NegLabelDetector(TextDetector):
    """Zero-shot OOD detection with negative labels mined from a word list [1]_.

    Of all words, those least like the class names become negatives; an image is scored by the share of
    softmax mass on the classes, averaged over random groups of negatives.

    Parameters
    ----------
    words : sequence of str, optional
        Candidate words; the nouns and adjectives of `skneg.datasets.load_words` by default. With a
        `text_bank`, its negatives are the candidates.
    fraction : float, default=0.15
        Share of the candidates to keep.
    quantile : float, default=0.95
        A word is as like the classes as this quantile of its cosines to them.
    n_groups : int, default=100
        Random groups of negatives; 1 scores with all of them at once.
    templates : str or sequence of str, default="the nice {}"
        Prompts around class names and words; adjectives stand in "this is a {} photo".
    score_temperature : float, default=0.01
        Of the softmax.
    text_bank, class_names, model, pretrained, device, precision, batch_size, contamination, \
calibration, calibration_fraction, unknown_label, random_state, verbose
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
    >>> from skneg import NegLabelDetector
    >>> from skneg.datasets import SHAPE_NAMES, make_scenes
    >>> X, y = make_scenes(40, shapes=["star", "heart"], random_state=0)
    >>> detector = NegLabelDetector(
    ...     model="skneg-tiny", words=SHAPE_NAMES, fraction=0.5, n_groups=1, random_state=0
    ... )
    >>> "star" in detector.fit(X, y).negative_words_
    False
    """

    def __init__(
        self,
        *,
        words: Sequence[str] | None = None,
        fraction: float = 0.15,
        quantile: float = 0.95,
        n_groups: int = 100,
        templates: str | Sequence[str] = "the nice {}",
        score_temperature: float = 0.01,
        **shared: Any,
    ) -> None:
        super().__init__(templates=templates, score_temperature=score_temperature, **shared)
        self.words = words
        self.fraction = fraction
        self.quantile = quantile
        self.n_groups = n_groups

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_between("fraction", self.fraction, 0, 1 + 1e-9)
        check_between("quantile", self.quantile, 0, 1)
        check_at_least("n_groups", self.n_groups, 1, Integral)
        if self.words is not None:
            check_words(self.words)

    def _set_classes(self, vocabulary: Vocabulary) -> None:
        if not hasattr(self, "group_seed_"):
            # Drawn once, so that the groups stay when the vocabulary changes.
            self.group_seed_ = int(check_random_state(self.random_state).randint(2**31 - 1))
        super()._set_classes(vocabulary)
        words, _ = self._candidates(vocabulary.names)
        self.negative_words_ = [words[row] for row in self._mine(vocabulary.names)] if words else []

    def _make_bank(self, names: Sequence[str]) -> TextBank:
        positive = super()._make_bank(names).positive
        _, candidates = self._candidates(names)
        return TextBank(positive, candidates[self._mine(names)])

    def _mine(self, names: Sequence[str]) -> np.ndarray:
        """Rows of the candidates that become negatives, shuffled into groups."""
        positive = super()._make_bank(names).positive
        words, candidates = self._candidates(names)
        likeness = np.quantile(candidates @ positive.T, self.quantile, axis=1)
        known = {name.casefold() for name in names}
        likeness[[i for i, word in enumerate(words) if word.casefold() in known]] = np.inf
        free = int(np.isfinite(likeness).sum())
        n_kept = min(free, max(1, round(self.fraction * len(candidates))))
        if n_kept == 0:
            raise VocabularyError("every candidate word is a class name: nothing is left to be a negative.")
        kept = np.argsort(likeness, kind="stable")[:n_kept]
        return np.random.default_rng(self.group_seed_).permutation(kept)

    def _candidates(self, names: Sequence[str]) -> tuple[Sequence[str], np.ndarray]:
        """Candidate words (none where they came as embeddings) and their unit embeddings."""
        bank = self._ready_bank()
        if bank is not None:
            if len(bank.negative) == 0:
                raise InputError("text_bank has no negatives; they are the candidates to mine from.")
            return (), bank.negative
        return _encode_words(self._backbone().text_tower, self._prompts_of_words())

    def _prompts_of_words(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Each candidate word with its prompts."""
        templates = self._template_list()
        if self.words is not None:
            return tuple((word, tuple(t.format(word) for t in templates)) for word in self.words)
        from ..datasets import load_words

        nouns = [(word, tuple(t.format(word) for t in templates)) for word in load_words("nouns")]
        taken = set(load_words("nouns"))
        adjectives = [word for word in load_words("adjectives") if word not in taken]
        return (*nouns, *((word, (f"this is a {word} photo",)) for word in adjectives))

    def _score_cosines(self, positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
        n_groups = min(self.n_groups, negative.shape[1])
        return neglabel(positive, negative, self.score_temperature, n_groups)


class CSPDetector(NegLabelDetector):
    """NegLabel with a pool enlarged by conjugated phrases [1]_.

    Adjectives join broad nouns ("a shiny surface", "a blurry scene"), which speak of many unknown
    things at once; candidates too like a class, or like an earlier candidate, are dropped.

    Parameters
    ----------
    adjectives : sequence of str, optional
        For the phrases; those of `skneg.datasets.load_words` by default.
    superclasses : sequence of str, optional
        Broad nouns for the phrases; 14 by default. Each adjective is paired with one of them, in turn.
    max_cosine : float, default=0.95
        Candidates closer than this to a class or to an earlier candidate are dropped.
    words, fraction, quantile, n_groups, templates, score_temperature
        See `NegLabelDetector`; `words` are the nouns.
    text_bank, class_names, model, pretrained, device, precision, batch_size, contamination, \
calibration, calibration_fraction, unknown_label, random_state, verbose
        See `MCMDetector`.

    References
    ----------
    .. [1] Chen et al., "Conjugated Semantic Pool Improves OOD Detection with Pre-trained
       Vision-Language Models", NeurIPS 2024.

    Examples
    --------
    >>> from skneg import CSPDetector
    >>> from skneg.datasets import COLORS, SHAPE_NAMES, make_scenes
    >>> X, y = make_scenes(40, shapes=["star", "heart"], random_state=0)
    >>> detector = CSPDetector(
    ...     model="skneg-tiny", words=SHAPE_NAMES, adjectives=list(COLORS), superclasses=["thing"],
    ...     fraction=0.5, n_groups=1, random_state=0,
    ... )
    >>> len(detector.fit(X, y).negative_words_) > 0
    True
    """

    def __init__(
        self,
        *,
        adjectives: Sequence[str] | None = None,
        superclasses: Sequence[str] | None = None,
        max_cosine: float = 0.95,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.adjectives = adjectives
        self.superclasses = superclasses
        self.max_cosine = max_cosine

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_between("max_cosine", self.max_cosine, -1, 1 + 1e-9)
        for name in ("adjectives", "superclasses"):
            if getattr(self, name) is not None:
                check_words(getattr(self, name), name)

    def _candidates(self, names: Sequence[str]) -> tuple[Sequence[str], np.ndarray]:
        words, embeddings = super()._candidates(names)
        positive = TextDetector._make_bank(self, names).positive
        far = (embeddings @ positive.T).max(axis=1) <= self.max_cosine
        far[far] = _first_of_alike(embeddings[far], self.max_cosine)
        if not far.any():
            raise VocabularyError(
                f"every candidate is closer than max_cosine={self.max_cosine} to a class; raise it."
            )
        return [word for word, keep in zip(words, far, strict=False) if keep], embeddings[far]

    def _prompts_of_words(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        from ..datasets import load_words

        words = load_words("nouns") if self.words is None else self.words
        adjectives = load_words("adjectives") if self.adjectives is None else self.adjectives
        broad = _SUPERCLASSES if self.superclasses is None else self.superclasses
        phrases = [f"{word} {broad[i % len(broad)]}" for i, word in enumerate(adjectives)]
        pool = dict.fromkeys([*words, *phrases])
        return tuple((word, tuple(t.format(word) for t in self._template_list())) for word in pool)


def _first_of_alike(embeddings: np.ndarray, max_cosine: float) -> np.ndarray:
    """Which rows are not closer than `max_cosine` to an earlier kept row."""
    keep = np.zeros(len(embeddings), dtype=bool)
    for row, embedding in enumerate(embeddings):
        keep[row] = not (embeddings[:row][keep[:row]] @ embedding > max_cosine).any()
    return keep


@lru_cache(maxsize=4)
def _encode_words(
    tower: TextTower, prompts: tuple[tuple[str, tuple[str, ...]], ...]
) -> tuple[tuple[str, ...], np.ndarray]:
    """Words and their embeddings (m, d), the means over their prompts; one text pass per process."""
    encoded = tower.encode([prompt for _, texts in prompts for prompt in texts])
    owner = np.repeat(np.arange(len(prompts)), [len(texts) for _, texts in prompts])
    total = np.zeros((len(prompts), encoded.shape[1]), dtype=np.float32)
    np.add.at(total, owner, encoded)
    total /= np.linalg.norm(total, axis=1, keepdims=True)
    total.setflags(write=False)
    return tuple(word for word, _ in prompts), total
