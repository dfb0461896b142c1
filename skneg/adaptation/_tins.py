"""Images that look unknown, as texts among the negative words: TINS."""

from __future__ import annotations

from numbers import Integral

import numpy as np

from .._utils import check_at_least, check_between
from ..errors import InputError
from ..scores import interneg
from ._adaptation import Adaptation, Memory, Static


class TINS(Adaptation):
    """Negative texts made of the stream's images that look unknown [1]_.

    An image whose score is below `threshold` is turned into a text: the pseudo-word for which "a photo of a
    [word]." lies near the image and not near the mean images v_c of the known classes
    (`skneg.prompts.invert_images`). The text g joins the negative words where ``cos(g, v_c) < b_c`` for every
    class, with b_c the cosine of v_c to the class's own name. Of all such texts, the `n_texts` with the
    largest ``mean_c(b_c - cos(g, v_c))`` are kept. The score is InterNeg's: the mean over random groups of
    negatives of the share of the class names, the mean mass of a name against that of a negative. The groups
    are drawn anew, with the same seed, whenever a text joins.

    Needs labelled images in `fit`, and a detector whose words have gone through a text tower. Differs from
    the released code in that an image is scored before it joins, and that texts beyond `n_texts` are
    forgotten (the code keeps a buffer that it draws from at random). Its cost is that of `steps` passes
    through the text tower, forward and back, for each image that looks unknown.

    Parameters
    ----------
    threshold : float, default=0.3
        Score, between 0 and 1, below which an image looks unknown.
    n_texts : int, default=2000
    n_groups : int, default=5
    temperature : float, default=0.01
    steps : int, default=30
    learning_rate : float, default=0.02

    References
    ----------
    .. [1] "TINS", arXiv 2605.10756, 2026, after InterNeg, CVPR 2026.
    """

    reference = "TINS, arXiv 2605.10756"
    needs_words = True
    constant = ("means", "bounds", "seed")

    def __init__(
        self,
        *,
        threshold: float = 0.3,
        n_texts: int = 2000,
        n_groups: int = 5,
        temperature: float = 0.01,
        steps: int = 30,
        learning_rate: float = 0.02,
    ) -> None:
        self.threshold = threshold
        self.n_texts = n_texts
        self.n_groups = n_groups
        self.temperature = temperature
        self.steps = steps
        self.learning_rate = learning_rate

    def check(self) -> None:
        """Refuse parameters that are not usable."""
        check_between("threshold", self.threshold, 0, 1)
        check_at_least("n_texts", self.n_texts, 1, Integral)
        check_at_least("n_groups", self.n_groups, 1, Integral)
        check_between("temperature", self.temperature, 0, np.inf)
        check_at_least("steps", self.steps, 0, Integral)
        check_between("learning_rate", self.learning_rate, 0, np.inf)

    def start(self, static: Static, seed: int) -> Memory:
        """The memory before the first image; see `Adaptation.start`."""
        positive, words = static.texts
        if len(self._words(static)) != len(words):
            raise InputError(
                "TINS begins at words, and this detector's came as embeddings: fit it without a text_bank."
            )
        present = np.unique(static.targets[static.targets >= 0])
        if len(present) == 0:
            raise InputError(
                "TINS keeps texts away from the known classes' images, and knows no labelled one of "
                "theirs: fit or calibrate with labelled images."
            )
        means = np.stack(
            [static.embeddings[static.targets == c].mean(axis=0, dtype=np.float64) for c in present]
        )
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        return {
            "means": means.astype(np.float32),
            "bounds": (means * positive[present]).sum(axis=1),
            "texts": words[:0],
            "leads": np.empty(0),
            "seed": int(seed),
        }

    def move(self, static: Static, memory: Memory, Z: np.ndarray, s: np.ndarray) -> Memory:
        """The memory after some more images; see `Adaptation.move`."""
        strange = Z[np.exp(self.score(static, memory, Z, s)) < self.threshold]
        if len(strange) == 0:
            return memory
        from ..prompts.inversion import invert_images

        names, (_, words) = self._words(static), static.texts
        texts = invert_images(
            static.detector._backbone().text_tower,
            strange,
            [names[row] for row in (strange @ words.T).argmax(axis=1)],
            memory["means"],
            steps=self.steps,
            learning_rate=self.learning_rate,
        )
        lead = memory["bounds"] - texts @ memory["means"].T.astype(np.float64)
        is_away = (lead > 0).all(axis=1)
        texts = np.concatenate([memory["texts"], texts[is_away]])
        leads = np.concatenate([memory["leads"], lead[is_away].mean(axis=1)])
        kept = np.sort(np.argsort(-leads, kind="stable")[: self.n_texts])
        return {**memory, "texts": texts[kept], "leads": leads[kept]}

    def score(self, static: Static, memory: Memory, Z: np.ndarray, s: np.ndarray) -> np.ndarray:
        """Scores with this memory; see `Adaptation.score`."""
        positive, words = static.texts
        negatives = np.concatenate([words, memory["texts"]])
        order = np.random.default_rng(memory["seed"]).permutation(len(negatives))
        cosines = Z @ negatives[order].T
        return interneg(Z @ positive.T, cosines, self.temperature, min(self.n_groups, len(negatives)))

    def _words(self, static: Static) -> list[str]:
        """The words of the negatives, in the order of `Static.texts`."""
        return [*getattr(static.state, "words_", []), *getattr(static.state, "negative_words_", [])]
