"""LSN: class-specific negative prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils import check_at_least
from ..bank import TextBank
from ..scores import lsn
from ._coop import CoOpDetector, learn_coop
from ._prompt import rows_of

if TYPE_CHECKING:
    from .._state import FittedState


class LSNDetector(CoOpDetector):
    """Learned semantic negatives [1]_: each class learns what its own images are least like.

    The positive context is CoOp's; then each class gets `n_negative` contexts of its own, trained so
    that among all classes' negatives an image is least like those of its class (the cross-entropy of a
    softmax over negated cosines), and kept orthogonal to each other. The score is the largest softmax
    share over the positives minus the smallest over the negatives.

    Class-specific contexts say nothing of new names, so `set_vocabulary` can only choose among the
    trained classes.

    Parameters
    ----------
    n_negative : int, default=3
        Negative contexts for each class; their cosines are averaged.
    score_temperature : float, default=0.01
        Of both softmaxes of the score.
    recipe
        See `CoOpDetector`.
    model, class_names, contamination, random_state, calibration, unknown_label, pretrained, device, \
precision, batch_size, verbose
        See `NegPromptDetector`.

    Attributes
    ----------
    negative_context_ : ndarray of shape (n_negative, k, n_ctx, width)
        The negative contexts.
    positive_context_, history_, classes_, class_names_, text_bank_, offset_
        See `CoOpDetector`; the bank's negatives are class-major.

    References
    ----------
    .. [1] Nie et al., "Out-of-Distribution Detection with Negative Prompts", ICLR 2024.

    Examples
    --------
    >>> from skneg import LSNDetector
    >>> from skneg.prompts import CoOpRecipe
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(100, shapes=["star", "heart"], random_state=0)
    >>> detector = LSNDetector(model="skneg-tiny", recipe=CoOpRecipe(n_epochs=2), random_state=0)
    >>> detector.fit(X, y).text_bank_.negative.shape
    (6, 128)
    """

    reference = "Nie et al., ICLR 2024"

    def __init__(self, *, n_negative: int = 3, score_temperature: float = 0.01, **shared: Any) -> None:
        super().__init__(score_temperature=score_temperature, **shared)
        self.n_negative = n_negative

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_at_least("n_negative", self.n_negative, 1, Integral)

    def _learn(self, Z: Any, targets: Any, names: Sequence[str], seed: int, groups: Any) -> dict[str, Any]:
        return learn_coop(self, Z, targets, names, seed, n_negative=self.n_negative)

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        rows = rows_of(
            learned,
            names,
            "LSN learns negatives for each class that has images, which says nothing of other names.",
        )
        positive = self._embed_contexts(learned["positive_context_"][None], names)[0]
        negative = self._embed_contexts(learned["negative_context_"][:, rows], names)
        return {"text_bank_": TextBank.of_contexts(positive, negative, None)}

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        def score(positive: np.ndarray, negative: np.ndarray, _: np.ndarray) -> np.ndarray:
            by_class = negative.reshape(*positive.shape, -1).mean(axis=2)
            return lsn(positive, by_class, self.score_temperature)

        return state.text_bank_.score(Z, score)
