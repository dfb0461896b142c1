"""CSP: NegLabel with a pool enlarged by phrases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._mining import first_of_alike
from .._utils import check_templates
from ..words import Words, check_words, embed_words
from ._neglabel import NegLabelDetector, candidates_of, learn_groups, negatives_beside

_SUPERCLASSES = (
    "scene", "object", "place", "creature", "material", "surface", "space", "structure", "item",
    "landscape", "pattern", "view", "thing", "area",
)  # fmt: skip


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
    words : Words, str or sequence of str, optional
        The nouns, and which candidates become negatives; see `Words`. None is the published choice: 15 %
        of all. Candidates closer than its `max_cosine` (0.95) to a class or to an earlier candidate are
        dropped.
    n_groups, templates, score_temperature, random_state
        See `NegLabelDetector`.
    model, class_names, contamination, text_bank, unknown_label, pretrained, device, precision, \
batch_size, verbose
        See `MCMDetector`.

    References
    ----------
    .. [1] Chen et al., "Conjugated Semantic Pool Improves OOD Detection with Pre-trained
       Vision-Language Models", NeurIPS 2024.

    Examples
    --------
    >>> from skneg import CSPDetector, Words
    >>> from skneg.datasets import COLORS, SHAPE_NAMES, make_scenes
    >>> X, y = make_scenes(40, shapes=["star", "heart"], random_state=0)
    >>> detector = CSPDetector(
    ...     model="skneg-tiny", words=Words(SHAPE_NAMES, fraction=0.5, max_cosine=0.95),
    ...     adjectives=list(COLORS), superclasses=["thing"], n_groups=1, random_state=0,
    ... )
    >>> len(detector.fit(X, y).negative_words_) > 0
    True
    """

    reference = "Chen et al., NeurIPS 2024"
    default_words = Words("nouns", fraction=0.15, max_cosine=0.95)

    def __init__(
        self,
        *,
        adjectives: Sequence[str] | None = None,
        superclasses: Sequence[str] | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.adjectives = adjectives
        self.superclasses = superclasses

    def _check_parameters(self) -> None:
        super()._check_parameters()
        for name in ("adjectives", "superclasses"):
            if getattr(self, name) is not None:
                check_words(getattr(self, name), name)

    def _learn(self, Z: Any, targets: Any, names: Sequence[str], seed: int, groups: Any) -> dict[str, Any]:
        return learn_groups(self, self._pool, Z, targets, names)

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        words, candidates = candidates_of(self, self._pool, learned)
        positive, max_cosine = self._positives(learned, names), self._words().max_cosine
        cosines = candidates @ positive.T
        far = cosines.max(axis=1) < max_cosine
        far[far] = first_of_alike(candidates[far], max_cosine)
        return negatives_beside(self, learned, positive, names, words, candidates, far, cosines)

    def _pool(self) -> tuple[list[str], np.ndarray]:
        from ..datasets import load_words

        chosen = self._words().words
        nouns = load_words(chosen) if isinstance(chosen, str) else chosen
        adjectives = load_words("adjectives") if self.adjectives is None else self.adjectives
        broad = list(_SUPERCLASSES if self.superclasses is None else self.superclasses)
        phrases = [f"{word} {broad[i % len(broad)]}" for i, word in enumerate(adjectives)]
        pool = tuple(dict.fromkeys([*nouns, *phrases]))
        templates = tuple(check_templates("templates", self.templates))
        return list(pool), embed_words(self._backbone(), pool, templates, self.verbose)
