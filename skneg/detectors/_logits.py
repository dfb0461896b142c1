"""The classical scores of a classifier's logits, on CLIP's: MSP, MaxLogit, Energy."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..scores import energy, max_logit, mcm
from ._text import TextDetector


class MSPDetector(TextDetector):
    """Maximum softmax probability [1]_ at CLIP's own temperature.

    Parameters
    ----------
    score_temperature : float, default=0.01
        What cosines are divided by; CLIP's logit scale. At 1 this is `MCMDetector`.
    templates, text_bank, class_names, model, pretrained, device, precision, batch_size, \
contamination, calibration, calibration_fraction, unknown_label, random_state, verbose
        See `MCMDetector`.

    References
    ----------
    .. [1] Hendrycks and Gimpel, "A Baseline for Detecting Misclassified and Out-of-Distribution
       Examples in Neural Networks", ICLR 2017.

    Examples
    --------
    >>> from skneg import MSPDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(40, shapes=["star", "heart"], random_state=0)
    >>> MSPDetector(model="skneg-tiny").fit(X, y).score_samples(X).shape
    (40,)
    """

    def __init__(self, *, score_temperature: float = 0.01, **shared: Any) -> None:
        super().__init__(score_temperature=score_temperature, **shared)

    def _score_cosines(self, positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
        return mcm(positive, self.score_temperature)


class MaxLogitDetector(TextDetector):
    """The largest cosine [1]_.

    Parameters
    ----------
    score_temperature : float, default=1.0
        Without effect: the largest cosine has no temperature.
    templates, text_bank, class_names, model, pretrained, device, precision, batch_size, \
contamination, calibration, calibration_fraction, unknown_label, random_state, verbose
        See `MCMDetector`.

    References
    ----------
    .. [1] Hendrycks et al., "Scaling Out-of-Distribution Detection for Real-World Settings", ICML 2022.

    Examples
    --------
    >>> from skneg import MaxLogitDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(40, shapes=["star", "heart"], random_state=0)
    >>> MaxLogitDetector(model="skneg-tiny").fit(X, y).score_samples(X).shape
    (40,)
    """

    def _score_cosines(self, positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
        return max_logit(positive)


class EnergyDetector(TextDetector):
    """Negative free energy of the cosines [1]_.

    Parameters
    ----------
    score_temperature : float, default=0.01
        T in ``T logsumexp(z / T)``. CLIP code bases use 0.01 (energy of the model's own logits, as
        here) or 1 (energy of raw cosines, close to their mean); the two order images differently.
    templates, text_bank, class_names, model, pretrained, device, precision, batch_size, \
contamination, calibration, calibration_fraction, unknown_label, random_state, verbose
        See `MCMDetector`.

    References
    ----------
    .. [1] Liu et al., "Energy-based Out-of-distribution Detection", NeurIPS 2020.

    Examples
    --------
    >>> from skneg import EnergyDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(40, shapes=["star", "heart"], random_state=0)
    >>> EnergyDetector(model="skneg-tiny").fit(X, y).score_samples(X).shape
    (40,)
    """

    def __init__(self, *, score_temperature: float = 0.01, **shared: Any) -> None:
        super().__init__(score_temperature=score_temperature, **shared)

    def _score_cosines(self, positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
        return energy(positive, self.score_temperature)
