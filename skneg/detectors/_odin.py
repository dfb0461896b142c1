"""ODIN: input perturbation and a high temperature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils import check_at_least
from ..errors import ImageError, InputError
from ..scores import class_posterior, mcm
from ._zero_shot import ZeroShotDetector

if TYPE_CHECKING:
    from .._state import FittedState
    from ..backbone import ImageTower


class ODINDetector(ZeroShotDetector):
    """Softmax at a high temperature after a small step of each image towards its class [1]_.

    The image is moved against the gradient of the cross-entropy to its own predicted class, which moves
    images of known classes further. The gradient goes through the image tower, so pixels are needed:
    embeddings are refused.

    Parameters
    ----------
    epsilon : float, default=0.0014
        Step, in units of the preprocessed (normalised) pixels.
    score_temperature : float, default=1000.0
        What logits, cosines over the model's own temperature, are divided by.
    model, class_names, contamination, templates, text_bank, unknown_label, pretrained, device, \
precision, batch_size, verbose
        See `MCMDetector`. A `text_bank` must come from the same model.

    Attributes
    ----------
    calibration_embeddings_ : ndarray of shape (n, 3, height, width), float32
        Preprocessed pixels of the images that set the threshold: it needs them again when the
        vocabulary changes. 0.6 MB an image at 224 pixels.

    References
    ----------
    .. [1] Liang, Li and Srikant, "Enhancing the Reliability of Out-of-distribution Image Detection in
       Neural Networks", ICLR 2018.

    Examples
    --------
    >>> from skneg import ODINDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(40, shapes=["star", "heart"], random_state=0)
    >>> ODINDetector(model="skneg-tiny").fit(X, y).score_samples(X[:3]).shape
    (3,)
    """

    needs = "pixels"
    reference = "Liang et al., ICLR 2018"

    def __init__(self, *, epsilon: float = 0.0014, score_temperature: float = 1000.0, **shared: Any) -> None:
        super().__init__(**shared)
        self.epsilon = epsilon
        self.score_temperature = score_temperature

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_at_least("epsilon", self.epsilon, 0)

    def _represent(self, images: Any) -> Any:
        if isinstance(images, np.ndarray):
            raise InputError(
                "ODINDetector perturbs pixels by a gradient through the image tower; embeddings have no "
                "pixels. Give images."
            )
        return _Pixels(images, self._backbone().image_tower)

    def _cosines(self, state: FittedState, Z: Any, epsilon: float) -> np.ndarray:
        tower, bank = self._backbone().image_tower, state.text_bank_
        batches = [
            tower.perturbed_cosines(
                Z[rows], bank.positive, epsilon, state.temperature_ * self.score_temperature
            )
            for rows in np.split(np.arange(len(Z)), range(self.batch_size, len(Z), self.batch_size))
            if len(rows)
        ]
        return np.concatenate(batches) if batches else np.empty((0, len(bank.positive)))

    def _score(self, state: FittedState, Z: Any) -> np.ndarray:
        cosines = self._cosines(state, Z, self.epsilon)
        return mcm(cosines, state.temperature_ * self.score_temperature)

    def _posterior(self, state: FittedState, Z: Any) -> np.ndarray:
        return class_posterior(self._cosines(state, Z, 0.0), state.temperature_)


class _Pixels:
    """Images that are decoded and preprocessed when they are asked for, a batch at a time."""

    def __init__(self, images: Sequence[Any], tower: ImageTower) -> None:
        self._images = images
        self._tower = tower

    def __len__(self) -> int:
        return len(self._images)

    def unreadable(self) -> list[ImageError]:
        """What is wrong with each image that cannot be read; decodes all."""
        return self._tower.unreadable(self._images)

    def __getitem__(self, rows: Any) -> Any:
        """One image, or preprocessed pixels (n, 3, height, width) of several."""
        return self._images[rows] if np.ndim(rows) == 0 else self._tower.pixels(self._images, rows)
