"""COOkeD: the mean of what names and what a linear probe say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._softmax import log_softmax, scaled
from ..scores import mcm
from ._features import training_rows
from ._named_images import NamedImagesDetector
from ._probe import check_probe, fit_probe, probe_logits

if TYPE_CHECKING:
    from .._state import FittedState


class COOkeDDetector(NamedImagesDetector):
    """The mean of CLIP's probabilities from class names and those of a linear probe, scored by MSP [1]_.

    What differs from the published code: its third member, a classifier trained end to end on the images of
    the known classes, does not exist here, where image towers are frozen; so two are averaged. The
    probe is a logistic regression on unit-norm embeddings, not trained by SGD on embeddings of any length. Of
    its two scores, MSP and entropy, this is MSP. A class needs images: names alone are refused.

    Parameters
    ----------
    C, max_iter
        Of the probe; see `LinearProbeDetector`.
    calibration, random_state
        See `NegPromptDetector`.
    model, class_names, contamination, templates, text_bank, unknown_label, pretrained, device, \
precision, batch_size, verbose
        See `MCMDetector`.

    Attributes
    ----------
    text_bank_ : TextBank
        The names, without negatives.
    coef_, intercept_, n_iter_
        See `LinearProbeDetector`.
    classes_, class_names_, offset_, temperature_, unknown_label_
        See `NegPromptDetector`.

    References
    ----------
    .. [1] Humblot-Renaux et al., "COOkeD: Ensemble-based OOD detection in the era of zero-shot CLIP",
       ICCV Workshops 2025.

    Examples
    --------
    >>> from skneg import COOkeDDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(100, shapes=["star", "heart"], random_state=0)
    >>> COOkeDDetector(model="skneg-tiny", random_state=0).fit(X, y).score_samples(X).shape
    (100,)
    """

    reference = "Humblot-Renaux et al., ICCVW 2025"

    def __init__(self, *, C: float = 100.0, max_iter: int = 1000, **shared: Any) -> None:
        super().__init__(**shared)
        self.C = C
        self.max_iter = max_iter

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_probe(self)

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        embeddings, targets = training_rows(learned, names, type(self).__name__)
        probe = fit_probe(self, embeddings, targets, learned["seed_"])
        return {**super()._prepare(learned, names), **probe}

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        return mcm(_log_mean(state, Z))

    def _posterior(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        return np.exp(_log_mean(state, Z))


def _log_mean(state: FittedState, Z: np.ndarray) -> np.ndarray:
    """Logarithm (n, k) of the mean of both probabilities: shares close to 1 keep their order."""
    by_name = log_softmax(scaled(Z @ state.text_bank_.positive.T, state.temperature_), axis=1)
    return np.logaddexp(by_name, log_softmax(probe_logits(vars(state), Z), axis=1)) - np.log(2)
