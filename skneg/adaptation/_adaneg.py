"""Confident images of a stream beside the text of each label: AdaNeg."""

from __future__ import annotations

from numbers import Integral

import numpy as np

from .._softmax import log_softmax
from .._utils import check_at_least, check_between
from ..scores import neglabel
from ._adaptation import Adaptation, Memory, Static


class AdaNeg(Adaptation):
    """Class names and words that confident images of the stream draw towards themselves [1]_.

    Each label, a class name or a word, has its text and up to `n_images` images. An image joins its likeliest
    class where the share of the class names (NegLabel's score, over groups of words) is above
    ``threshold + gap * (1 - threshold)``, and its likeliest word where it is below
    ``threshold - gap * threshold``. In a full label it takes the place of the image with the largest entropy,
    where its own is smaller. A label's proxy is the mean of its text and images; the score is NegLabel's of
    the proxies plus `text_weight` times that of the text alone.

    Differs from the released code in that an image is scored before it joins, words are the detector's, and
    labels may be of any number.

    Parameters
    ----------
    threshold : float, default=0.5
        Between the known and the unknown, of a score between 0 and 1.
    gap : float, default=0.5
        How far from the threshold a score must be: 0.75 and 0.25 with the defaults.
    n_images : int, default=9
        Images a label has at most.
    text_weight : float, default=0.1
    n_groups : int, default=5
        Groups of words, over which scores are averaged.
    temperature : float, default=0.01
        Of the softmax.

    References
    ----------
    .. [1] Zhang and Zhang, "AdaNeg: Adaptive Negative Proxy Guided OOD Detection with Vision-Language
       Models", NeurIPS 2024.
    """

    reference = "Zhang and Zhang, NeurIPS 2024"
    needs_words = True
    constant = ("order",)

    def __init__(
        self,
        *,
        threshold: float = 0.5,
        gap: float = 0.5,
        n_images: int = 9,
        text_weight: float = 0.1,
        n_groups: int = 5,
        temperature: float = 0.01,
    ) -> None:
        self.threshold = threshold
        self.gap = gap
        self.n_images = n_images
        self.text_weight = text_weight
        self.n_groups = n_groups
        self.temperature = temperature

    def check(self) -> None:
        """Refuse parameters that are not usable."""
        check_between("threshold", self.threshold, 0, 1)
        check_between("gap", self.gap, -1e-12, 1)
        check_at_least("n_images", self.n_images, 1, Integral)
        check_at_least("text_weight", self.text_weight, 0)
        check_at_least("n_groups", self.n_groups, 1, Integral)
        check_between("temperature", self.temperature, 0, np.inf)

    def start(self, static: Static, seed: int) -> Memory:
        """The memory before the first image; see `Adaptation.start`."""
        n_words = len(static.texts[1])
        return {
            "order": np.random.default_rng(seed).permutation(n_words),  # which words are in which group
            "labels": np.empty(0, dtype=np.int64),
            "entropies": np.empty(0),
            "images": static.embeddings[:0],
        }

    def move(self, static: Static, memory: Memory, Z: np.ndarray, s: np.ndarray) -> Memory:
        """The memory after some more images; see `Adaptation.move`."""
        texts, k = self._texts(static, memory)
        cosines = Z @ texts.T
        share = self._share(cosines, k)
        sides = (
            (share > self.threshold + self.gap * (1 - self.threshold), slice(0, k), 0),
            (share < self.threshold - self.gap * self.threshold, slice(k, None), k),
        )
        labels, entropies = memory["labels"].tolist(), memory["entropies"].tolist()
        images = list(memory["images"])
        for is_sure, own, first in sides:
            log_p = log_softmax(cosines[is_sure, own] / np.float64(self.temperature), axis=1)
            own_entropies = -(np.exp(log_p) * log_p).sum(axis=1)
            for z, label, entropy in zip(
                Z[is_sure], first + log_p.argmax(axis=1), own_entropies, strict=True
            ):
                places = [i for i, other in enumerate(labels) if other == label]
                if len(places) < self.n_images:
                    labels.append(int(label))
                    entropies.append(float(entropy))
                    images.append(z)
                    continue
                worst = max(places, key=entropies.__getitem__)
                if entropy < entropies[worst]:
                    entropies[worst], images[worst] = float(entropy), z
        return {
            "order": memory["order"],
            "labels": np.array(labels, dtype=np.int64),
            "entropies": np.array(entropies, dtype=np.float64),
            "images": np.array(images, dtype=np.float32).reshape(-1, Z.shape[1]),
        }

    def score(self, static: Static, memory: Memory, Z: np.ndarray, s: np.ndarray) -> np.ndarray:
        """Scores with this memory; see `Adaptation.score`."""
        texts, k = self._texts(static, memory)
        cosines = Z @ texts.T
        by_text = self._share(cosines, k)
        moved = np.unique(memory["labels"])
        if len(moved):
            proxies = texts.astype(np.float64)
            np.add.at(proxies, memory["labels"], memory["images"])
            proxies = proxies[moved] / np.linalg.norm(proxies[moved], axis=1, keepdims=True)
            cosines = cosines.copy()
            cosines[:, moved] = Z @ proxies.astype(np.float32).T
        return self._share(cosines, k) + self.text_weight * by_text

    def _texts(self, static: Static, memory: Memory) -> tuple[np.ndarray, int]:
        """Class names and words (k + w, d), the words in the order of their groups, and k."""
        positive, words = static.texts
        return np.concatenate([positive, words[memory["order"]]]), len(positive)

    def _share(self, cosines: np.ndarray, k: int) -> np.ndarray:
        n_groups = min(self.n_groups, cosines.shape[1] - k)
        return np.exp(neglabel(cosines[:, :k], cosines[:, k:], self.temperature, n_groups))
