"""DPM: what an image's probabilities are, and how like they are to those of a class's images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._labels import groups_or_none
from .._softmax import log_softmax, logsumexp, scaled
from .._utils import check_at_least
from ..errors import InputError
from ..evidence import N_FOLDS, folds, taught_to_all
from ..metrics import auroc
from ..scores import mcm
from ._features import training_rows
from ._named_images import NamedImagesDetector

if TYPE_CHECKING:
    from .._state import FittedState

# Weights to choose from, in standard deviations of the shares of known images.
_WEIGHTS = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class DPMDetector(NamedImagesDetector):
    """Dual-pattern matching [1]_: MCM, and whether probabilities are like those of a class's images.

    Nothing is trained. An image's probabilities p are a softmax over its cosines to the class names; the
    visual pattern P_c of a class is their mean over its training images. The score is
    ``max_c p_c - w min_c KL(p || P_c)``: how sure the names are, and whether p looks as it does for some
    known class. A class needs images: names alone are refused.

    What differs from the published code, in its variant without training (DPM-F): its search takes the
    weight w that is best on the unknown images of the test, for each set anew, and scales both terms by the
    range of the test images. Here w comes from known images only (`visual_weight`), and so does the scale.
    Image patches, which are added to the whole image with weight 0.1 there, are left out, so that embeddings
    are enough. The temperature is MCM's, where the code has 10: at both, p is close to linear in the cosines.

    Parameters
    ----------
    visual_weight : "auto" or float, default="auto"
        The weight of the second term, in units that make its standard deviation on known images that of
        the first. ``"auto"`` takes it from classes that play unknown: in up to 5 rounds some classes are
        taken away, and their images are unknown. Of 0, 0.1, 0.2, 0.5, 1, 2, 5 and 10 the weight with the
        largest mean AUROC is chosen. No image is scored against a pattern that it is part of. With
        fewer than 3 classes, or where no class has two images, this cannot be done, and the weight is 1.
    score_temperature : float, default=1.0
        What cosines are divided by in p.
    calibration, random_state
        See `NegPromptDetector`.
    model, class_names, contamination, templates, text_bank, unknown_label, pretrained, device, \
precision, batch_size, verbose
        See `MCMDetector`.

    Attributes
    ----------
    text_bank_ : TextBank
        The names, without negatives.
    log_patterns_ : ndarray of shape (k, k)
        Logarithms of the visual patterns, a row for each class.
    visual_weight_ : float
        The weight that was chosen or given.
    visual_scale_ : float
        What makes the deviation of the second term that of the first: w is their product.
    classes_, class_names_, offset_, temperature_, unknown_label_
        See `NegPromptDetector`.

    References
    ----------
    .. [1] Zhang et al., "Vision-Language Dual-Pattern Matching for Out-of-Distribution Detection", ECCV 2024.

    Examples
    --------
    >>> from skneg import DPMDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(100, shapes=["star", "heart"], random_state=0)
    >>> DPMDetector(model="skneg-tiny", random_state=0).fit(X, y).visual_weight_
    1.0
    """

    reference = "Zhang et al., ECCV 2024"

    def __init__(
        self, *, visual_weight: str | float = "auto", score_temperature: float = 1.0, **shared: Any
    ) -> None:
        super().__init__(**shared)
        self.visual_weight = visual_weight
        self.score_temperature = score_temperature

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if isinstance(self.visual_weight, str):
            if self.visual_weight != "auto":
                raise InputError(f"visual_weight must be 'auto' or a number, got {self.visual_weight!r}.")
        else:
            check_at_least("visual_weight", self.visual_weight, 0)

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        embeddings, targets = training_rows(learned, names, type(self).__name__)
        prepared = super()._prepare(learned, names)
        logits = scaled(embeddings @ prepared["text_bank_"].positive.T, self.score_temperature)
        groups = groups_or_none(learned["train_groups_"][np.isin(learned["train_names_"], names)])
        rng = np.random.RandomState(learned["seed_"])
        fold = folds(targets, N_FOLDS, rng, groups)
        fold[taught_to_all(targets, groups)] = -1
        text, visual = _both(logits, targets, fold, np.arange(len(names)))[:2]
        weight = self.visual_weight
        if weight == "auto":
            weight = _best_weight(logits, targets, fold, rng)
        return {
            **prepared,
            "log_patterns_": _patterns(log_softmax(logits, axis=1), targets, len(names)),
            "visual_weight_": float(weight),
            "visual_scale_": _scale(text, visual),
        }

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        cosines = Z @ state.text_bank_.positive.T
        log_p = log_softmax(scaled(cosines, self.score_temperature), axis=1)
        share = np.exp(mcm(cosines, self.score_temperature))
        return share + state.visual_weight_ * state.visual_scale_ * match(log_p, state.log_patterns_)


def match(log_p: np.ndarray, log_patterns: np.ndarray) -> np.ndarray:
    """Minus the smallest divergence (n,) of probabilities from some patterns.

    Parameters
    ----------
    log_p : ndarray of shape (n, k)
        Logarithms of probabilities.
    log_patterns : ndarray of shape (m, k)
        The same of the patterns.

    Returns
    -------
    ndarray of shape (n,), float64
        ``- min_c sum_j p_j (log p_j - log P_cj)``, 0 at the most.
    """
    p = np.exp(log_p)
    return (p @ log_patterns.T).max(axis=1) - (p * log_p).sum(axis=1)


def _patterns(log_p: np.ndarray, targets: np.ndarray, n_classes: int) -> np.ndarray:
    """Logarithms (m, k) of the mean probabilities of those classes that have images."""
    of_class = (log_p[targets == c] for c in range(n_classes))
    return np.stack([logsumexp(rows, axis=0) - np.log(len(rows)) for rows in of_class if len(rows)])


def _both(
    logits: np.ndarray, targets: np.ndarray, fold: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both terms of images in folds, by patterns of `known` in the other folds, and who is of `known`."""
    is_known, log_p = np.isin(targets, known), log_softmax(logits[:, known], axis=1)
    text, visual = np.exp(log_p.max(axis=1)), np.full(len(logits), np.nan)
    for h in np.unique(fold[fold >= 0]):
        rest = is_known & (fold != h)
        if rest.any():
            patterns = _patterns(log_p[rest], targets[rest], logits.shape[1])
            visual[fold == h] = match(log_p[fold == h], patterns)
    scored = np.isfinite(visual)
    return text[scored], visual[scored], is_known[scored]


def _scale(text: np.ndarray, visual: np.ndarray) -> float:
    deviation = visual.std() if len(visual) else 0.0
    return float(text.std() / deviation) if deviation > 0 else 1.0


def _best_weight(
    logits: np.ndarray, targets: np.ndarray, fold: np.ndarray, rng: np.random.RandomState
) -> float:
    """The weight that tells classes which are taken away from those that stay."""
    n_classes, found = logits.shape[1], []
    n_rounds = min(N_FOLDS, n_classes) if n_classes > 2 else 0
    order = rng.permutation(n_classes)
    for part in range(n_rounds):
        text, visual, is_known = _both(logits, targets, fold, np.delete(order, np.s_[part::n_rounds]))
        if is_known.any() and not is_known.all():
            scale = _scale(text[is_known], visual[is_known])
            scores = (text + weight * scale * visual for weight in _WEIGHTS)
            found.append([auroc(score[is_known], score[~is_known]) for score in scores])
    return _WEIGHTS[int(np.argmax(np.mean(found, axis=0)))] if found else 1.0
