"""The words that unknown images of a stream activate: TANL."""

from __future__ import annotations

from numbers import Integral

import numpy as np

from .._softmax import softmax
from .._utils import by_blocks, check_at_least, check_between
from ._adaptation import Adaptation, Memory, Static

_REMEMBERED = 20_000  # scores that Otsu's threshold comes from, as published
_GRID = np.arange(100) / 100  # thresholds that are tried, as published


class TANL(Adaptation):
    """Of all words, those that likely unknown images activate, and likely known ones do not [1]_.

    The activation of a word is its share in the softmax over class names and words. With A and B its means
    over the last `memory_size` images that were likely unknown and likely known, the `n_words` words with the
    largest A - B are chosen, in that order, and the score is the mean over i = `step`, 2 `step`, ... of the
    share of the class names beside the first i of them. An image is likely known where its score is above
    ``t + gap * (1 - t)``, likely unknown where it is below ``t - gap * t``, with t the threshold of Otsu
    on the last 20,000 scores.

    Differs from the released code: an image is scored before it joins, and words are chosen by the whole
    memory (the code mixes the current batch in); the memory starts with the known images of `fit` (the
    code: class names) and no unknown one (the code: 15 images of noise).

    Parameters
    ----------
    n_words : int, default=1000
        Words to choose; all where there are fewer.
    gap : float, default=0.5
    step : int, default=1
        Words that the share of the class names is measured in steps of.
    memory_size : int, default=300
        Images of each side that activations are averaged over.

    References
    ----------
    .. [1] "TANL: test-time activated negative labels for OOD detection", CVPR 2026; Otsu, "A Threshold
       Selection Method from Gray-Level Histograms", 1979.
    """

    reference = "TANL, CVPR 2026"
    needs_words = True

    def __init__(
        self, *, n_words: int = 1000, gap: float = 0.5, step: int = 1, memory_size: int = 300
    ) -> None:
        self.n_words = n_words
        self.gap = gap
        self.step = step
        self.memory_size = memory_size

    def check(self) -> None:
        """Refuse parameters that are not usable."""
        check_at_least("n_words", self.n_words, 1, Integral)
        check_between("gap", self.gap, -1e-12, 1)
        check_at_least("step", self.step, 1, Integral)
        check_at_least("memory_size", self.memory_size, 1, Integral)

    def start(self, static: Static, seed: int) -> Memory:
        """The memory before the first image; see `Adaptation.start`."""
        rows = np.random.default_rng(seed).permutation(len(static.embeddings))[: self.memory_size]
        known_side = _activations(static, static.embeddings[rows])
        memory = {"known": known_side, "unknown": known_side[:0], "chosen": self._choose(known_side, None)}
        return {**memory, "seen": self.score_known(static, memory)[-_REMEMBERED:]}

    def move(self, static: Static, memory: Memory, Z: np.ndarray, s: np.ndarray) -> Memory:
        """The memory after some more images; see `Adaptation.move`."""
        scores = self.score(static, memory, Z, s)
        seen = np.concatenate([memory["seen"], scores])[-_REMEMBERED:]
        t = otsu(seen)
        sides = {}
        for side, is_sure in (
            ("known", scores > t + self.gap * (1 - t)),
            ("unknown", scores < t - self.gap * t),
        ):
            sides[side] = memory[side]
            if is_sure.any():
                more = _activations(static, Z[is_sure])
                sides[side] = np.concatenate([memory[side], more])[-self.memory_size :]
        return {**sides, "chosen": self._choose(sides["known"], sides["unknown"]), "seen": seen}

    def score(self, static: Static, memory: Memory, Z: np.ndarray, s: np.ndarray) -> np.ndarray:
        """Scores with this memory; see `Adaptation.score`."""
        positive, words = static.texts
        chosen, k = words[memory["chosen"]], len(positive)
        ends = np.arange(self.step, len(chosen) + 1, self.step) if self.step <= len(chosen) else [len(chosen)]
        logits = Z @ np.concatenate([positive, chosen]).T / np.float64(static.state.temperature_)
        mass = np.exp(logits - logits.max(axis=1, keepdims=True))
        of_names = mass[:, :k].sum(axis=1, keepdims=True)
        beside = np.cumsum(mass[:, k:], axis=1)[:, np.asarray(ends) - 1]
        return (of_names / (of_names + beside)).mean(axis=1)

    def _choose(self, known: np.ndarray, unknown: np.ndarray | None) -> np.ndarray:
        """Numbers of the chosen words, the most telling first."""
        activated = -known.mean(axis=0, dtype=np.float64)
        if unknown is not None and len(unknown):
            activated = activated + unknown.mean(axis=0, dtype=np.float64)
        return np.argsort(-activated, kind="stable")[: self.n_words]


def _activations(static: Static, Z: np.ndarray) -> np.ndarray:
    """Share (n, w) of each word in the softmax over class names and words, float32."""
    positive, words = static.texts
    texts, T = np.concatenate([positive, words]), np.float64(static.state.temperature_)

    def shares(rows: np.ndarray) -> np.ndarray:
        return softmax(rows @ texts.T / T, axis=1)[:, len(positive) :].astype(np.float32)

    return by_blocks(Z, len(texts), shares)


def otsu(scores: np.ndarray) -> float:
    """The threshold among 0, 0.01, ... 0.99 with the least variance on its two sides; the middle of ties.

    0 where no threshold has scores on both sides.
    """
    ordered = np.sort(scores)
    sums, squares = np.cumsum([0.0, *ordered]), np.cumsum([0.0, *np.square(ordered)])
    n, below = len(ordered), np.searchsorted(ordered, _GRID)
    valid = np.flatnonzero((below > 0) & (below < n))
    if len(valid) == 0:
        return 0.0
    low, high = below[valid], n - below[valid]
    spread = squares[low] - sums[low] ** 2 / low
    spread += squares[-1] - squares[low] - (sums[-1] - sums[low]) ** 2 / high
    best = valid[spread == spread.min()]
    return float(_GRID[best[len(best) // 2]])
