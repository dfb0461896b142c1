"""Classes that a stream shows often count for less: CLIPScope."""

from __future__ import annotations

import numpy as np

from .._softmax import log_softmax, logsumexp
from ._adaptation import Adaptation, Memory, Static


class CLIPScope(Adaptation):
    """The probability of the likeliest class, over how often the stream has shown that class [1]_.

    With p(c) the softmax over the class names, P the share of the class names against the detector's words,
    and f(c) the share of class c among the likeliest classes of the stream so far (each counted once at the
    start), the score is ``log p(c) + log P - log f(c)`` of the likeliest class c: the logarithm of the
    published one, in the same order.

    Differs from the released code in that the words are the detector's (the code takes the 5,000 nearest and
    the 5,000 farthest nouns).

    References
    ----------
    .. [1] Fu et al., "CLIPScope: Enhancing Zero-Shot OOD Detection with Bayesian Scoring", WACV 2025.
    """

    reference = "Fu et al., WACV 2025"
    needs_words = True

    def start(self, static: Static, seed: int) -> Memory:
        """The memory before the first image; see `Adaptation.start`."""
        return {"counts": np.ones(len(static.texts[0]), dtype=np.int64)}

    def move(self, static: Static, memory: Memory, Z: np.ndarray, s: np.ndarray) -> Memory:
        """The memory after some more images; see `Adaptation.move`."""
        classes = (Z @ static.texts[0].T).argmax(axis=1)
        return {"counts": memory["counts"] + np.bincount(classes, minlength=len(memory["counts"]))}

    def score(self, static: Static, memory: Memory, Z: np.ndarray, s: np.ndarray) -> np.ndarray:
        """Scores with this memory; see `Adaptation.score`."""
        positive, words = static.texts
        of_classes = Z @ positive.T / np.float64(static.state.temperature_)
        of_words = Z @ words.T / np.float64(static.state.temperature_)
        frequency = np.log(memory["counts"] / memory["counts"].sum())
        classes = of_classes.argmax(axis=1)
        rows, mass = np.arange(len(Z)), logsumexp(of_classes, axis=1)
        share = mass - np.logaddexp(mass, logsumexp(of_words, axis=1))
        return log_softmax(of_classes, axis=1)[rows, classes] + share - frequency[classes]
