"""ODIN: input perturbation and a high temperature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._validation import check_at_least
from ..bank import TextBank
from ..errors import InputError
from ..images import as_image_sequence, is_embeddings
from ..scores import class_posterior, mcm
from ._text import TextDetector


class ODINDetector(TextDetector):
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
    templates, text_bank, class_names, model, pretrained, device, precision, batch_size, \
contamination, calibration, calibration_fraction, unknown_label, random_state, verbose
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

    def __init__(self, *, epsilon: float = 0.0014, score_temperature: float = 1000.0, **shared: Any) -> None:
        super().__init__(score_temperature=score_temperature, **shared)
        self.epsilon = epsilon

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_at_least("epsilon", self.epsilon, 0)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags

    def _represent(self, X: Any, reset: bool = False) -> Any:
        if is_embeddings(X):
            raise InputError(
                "ODINDetector perturbs pixels by a gradient through the image tower; embeddings have no "
                "pixels. Give images."
            )
        return as_image_sequence(X)  # decoded batch by batch, when they are scored

    def _rows(self, Z: Sequence[Any], rows: np.ndarray) -> Any:
        return Z[rows] if isinstance(Z, np.ndarray) else self._backbone().image_tower.pixels(Z, rows)

    def _finish_fit(self, vocabulary: Any, Z: Any, names: list[str] | None) -> None:
        super()._finish_fit(vocabulary, self._rows(Z, np.arange(len(Z))), names)

    def _cosines(self, Z: Sequence[Any], bank: TextBank, epsilon: float) -> np.ndarray:
        tower = self._backbone().image_tower
        batches = [
            tower.perturbed_cosines(
                self._rows(Z, rows), bank.positive, epsilon, self.temperature_ * self.score_temperature
            )
            for rows in np.split(np.arange(len(Z)), range(self.batch_size, len(Z), self.batch_size))
            if len(rows)
        ]
        return np.concatenate(batches) if batches else np.empty((0, len(bank.positive)))

    def _score(self, Z: Sequence[Any], bank: TextBank | None = None) -> np.ndarray:
        cosines = self._cosines(Z, self.text_bank_ if bank is None else bank, self.epsilon)
        return mcm(cosines, self.temperature_ * self.score_temperature)

    def _posterior(self, Z: Sequence[Any]) -> np.ndarray:
        return class_posterior(self._cosines(Z, self.text_bank_, 0.0), self.temperature_)
