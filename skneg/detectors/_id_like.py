"""ID-like: prompts that learn to be unknown from crops of known images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils import check_at_least
from ..bank import TextBank
from ..errors import InputError
from ..images import CroppedImages
from ..prompts.recipe import CoOpRecipe
from ..scores import neglabel
from ._coop import CoOpDetector
from ._nameless import learn_beside_nameless

if TYPE_CHECKING:
    from .._state import FittedState

# Share of an image that a crop shows: small ones miss the class.
_AREA = (0.08, 1.0)


class IDLikeDetector(CoOpDetector):
    """Prompts for unknown images, learned from crops of known ones [1]_.

    Of random crops of each training image, those most like its class's name stand for the class, those least
    like it for unknown images that look like known ones. A shared context with the class names learns
    cross-entropy on the first; contexts that name nothing learn to take the others from the classes, and to
    differ from each other. The score is the log of the classes' share of all prompts.

    `fit` needs images, of which crops are made; embeddings are enough in predictions. The crops' embeddings
    are kept in memory while `fit` runs, ``n_crops`` times those of the images, and are most of its time.

    What differs from the published code: CoOp's descent in batches of images takes the place of AdamW on one
    image at a time for 3 epochs; crops are made once, not anew in each epoch; behind a nameless context
    stands a full stop, where a token is learned too. Half of the crops are of each kind at the most.

    Parameters
    ----------
    n_negative : int, default=100
        Contexts that name nothing.
    n_crops : int, default=256
        Random crops of each image, at least 2: 8 % to all of its area, every other one mirrored.
    n_parts : int, default=32
        Crops of an image that stand for its class, and as many that stand for the unknown.
    outlier_weight : float, default=0.3
        Of the mean log of the classes' share on the latter.
    diversity_weight : float, default=0.2
        Of the mean cosine, where it is positive, of the nameless prompts.
    score_temperature : float, default=0.01
        What cosines are divided by in the score.
    recipe
        See `CoOpDetector`.
    model, class_names, contamination, random_state, calibration, unknown_label, pretrained, device, \
precision, batch_size, verbose
        See `NegPromptDetector`; `random_state` decides the crops too.

    Attributes
    ----------
    text_bank_ : TextBank
        ``negative`` holds the nameless prompts, which belong to no class.
    negative_context_ : ndarray of shape (n_negative, n_ctx, width)
    positive_context_, history_, classes_, class_names_, offset_, temperature_, unknown_label_
        See `CoOpDetector`.

    References
    ----------
    .. [1] Bai et al., "ID-like Prompt Learning for Few-Shot Out-of-Distribution Detection", CVPR 2024.

    Examples
    --------
    >>> from skneg import IDLikeDetector
    >>> from skneg.prompts import CoOpRecipe
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(60, shapes=["star", "heart"], random_state=0)
    >>> detector = IDLikeDetector(
    ...     model="skneg-tiny", n_crops=4, n_negative=10, recipe=CoOpRecipe(n_epochs=2), random_state=0
    ... )
    >>> detector.fit(X, y).text_bank_.negative.shape
    (10, 128)
    """

    needs = "pixels in fit"
    reference = "Bai et al., CVPR 2024"
    default_recipe = CoOpRecipe()

    def __init__(
        self,
        *,
        n_negative: int = 100,
        n_crops: int = 256,
        n_parts: int = 32,
        outlier_weight: float = 0.3,
        diversity_weight: float = 0.2,
        score_temperature: float = 0.01,
        **shared: Any,
    ) -> None:
        super().__init__(score_temperature=score_temperature, **shared)
        self.n_negative = n_negative
        self.n_crops = n_crops
        self.n_parts = n_parts
        self.outlier_weight = outlier_weight
        self.diversity_weight = diversity_weight

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_at_least("n_negative", self.n_negative, 1, Integral)
        check_at_least("n_crops", self.n_crops, 2, Integral)
        check_at_least("n_parts", self.n_parts, 1, Integral)
        check_at_least("outlier_weight", self.outlier_weight, 0)
        check_at_least("diversity_weight", self.diversity_weight, 0)

    def _represent(self, images: Any) -> Any:
        embeddings = super()._represent(images)
        if isinstance(images, np.ndarray):
            return embeddings
        return CroppedImages.of(embeddings, images, self._embed, self.n_crops, _AREA)

    def _learn(self, Z: Any, targets: Any, names: Sequence[str], seed: int, groups: Any) -> dict[str, Any]:
        from ..prompts.nameless import id_like_loss

        if not isinstance(Z, CroppedImages):
            raise InputError(
                "X holds embeddings, but IDLikeDetector learns from crops of the training images: give fit "
                "the images. Embeddings are enough in predictions."
            )
        return learn_beside_nameless(
            self, Z.crops(seed), targets, names, seed, id_like_loss(self.outlier_weight), self.n_parts,
            n_negative=self.n_negative, diversity_weight=self.diversity_weight, positive_part=True,
        )  # fmt: skip

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        positive = self._embed_contexts(learned["positive_context_"][None], names)[0]
        return {"text_bank_": TextBank(positive, learned["nameless_"])}

    def _score(self, state: FittedState, Z: Any) -> np.ndarray:
        def score(positive: np.ndarray, negative: np.ndarray, _: np.ndarray) -> np.ndarray:
            return neglabel(positive, negative, self.score_temperature)

        return state.text_bank_.score(np.asarray(Z), score)

    def _posterior(self, state: FittedState, Z: Any) -> np.ndarray:
        return super()._posterior(state, np.asarray(Z))
