"""Names of things that may turn up as outliers: EOE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils import check_at_least
from ..bank import TextBank
from ..errors import InputError, InputTypeError, VocabularyError
from ..scores import eoe
from ..words import check_words
from ._zero_shot import ZeroShotDetector

if TYPE_CHECKING:
    from .._state import FittedState


class EOEDetector(ZeroShotDetector):
    """Zero-shot OOD detection with envisioned outliers [1]_.

    Somebody who knows where the images come from, a person or a language model, names things that may
    turn up among them. An image is scored by its largest softmax share of a class, less a part of its
    largest share of an outlier name. Nothing is trained; `fit` sets the threshold, and needs no labels.

    Parameters
    ----------
    outlier_names : sequence of str
        Names of things that may turn up and are none of the classes. Names that are also class names,
        in whatever case, are left out. Needed unless `text_bank` has negatives, and then not taken.
    outlier_weight : float, default=0.25
        Weight of the outlier share (beta in [1]_); at 0 outliers act through the softmax alone.
    score_temperature : float, default=1.0
        Of the softmax over classes and outliers.
    text_bank : TextBank or array-like of shape (k, d), optional
        Ready text embeddings of the classes, in the order of ``classes_``; negatives, if it has any,
        are the outliers. See `MCMDetector`.
    model, class_names, contamination, templates, unknown_label, pretrained, device, precision, \
batch_size, verbose
        See `MCMDetector`; outlier names stand in the same templates as class names.

    Attributes
    ----------
    text_bank_ : TextBank
        ``negative``, of shape (m, d), holds the outliers in the order of `outlier_names_`; they belong
        to no class (``per_class`` is 0).
    outlier_names_ : list of str
        The outlier names without those that are class names; empty where outliers came as embeddings.
    classes_, class_names_, offset_, temperature_, unknown_label_
        See `NegPromptDetector`.

    References
    ----------
    .. [1] Cao et al., "Envisioning Outlier Exposure by Large Language Models for Out-of-Distribution
       Detection", ICML 2024.

    Examples
    --------
    >>> from skneg import EOEDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(40, shapes=["star", "heart"], random_state=0)
    >>> detector = EOEDetector(outlier_names=["key", "fish", "Star"], model="skneg-tiny")
    >>> detector.fit(X, y).outlier_names_
    ['key', 'fish']
    >>> stranger, _ = make_scenes(40, shapes=["fish"], random_state=1)
    >>> bool(detector.score_samples(X).mean() > detector.score_samples(stranger).mean())
    True
    """

    needs = "outlier names"
    reference = "Cao et al., ICML 2024"

    def __init__(
        self,
        *,
        outlier_names: Sequence[str] | None = None,
        outlier_weight: float = 0.25,
        score_temperature: float = 1.0,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.outlier_names = outlier_names
        self.outlier_weight = outlier_weight
        self.score_temperature = score_temperature

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_at_least("outlier_weight", self.outlier_weight, 0)
        if self.outlier_weight == np.inf:
            raise InputError("outlier_weight must be finite, got inf.")
        if self.outlier_names is not None:
            _check_outlier_names(self.outlier_names)
        self._outliers_come_as_embeddings(self._ready_bank({}))

    def _outliers_come_as_embeddings(self, bank: TextBank | None) -> bool:
        in_bank = bank is not None and len(bank.negative) > 0
        if self.outlier_names is None and not in_bank:
            raise InputError(
                "outlier_names is None and no text_bank has negatives: EOE needs names of things that may "
                "turn up besides the classes. Write down what you expect, or ask a language model for "
                "things that look like the classes but are none of them, and pass outlier_names=[...]."
            )
        if self.outlier_names is not None and in_bank:
            raise InputError("outlier_names is given and text_bank has negatives too: give one of the two.")
        return in_bank

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        ready = self._ready_bank(learned, names)
        if self._outliers_come_as_embeddings(ready):
            assert ready is not None
            return {"text_bank_": TextBank(ready.positive, ready.negative), "outlier_names_": []}
        names_of_outliers = self._outliers_beside(names)
        outliers, positive = self._embed_names(names_of_outliers), self._positives(learned, names)
        if positive.shape[1] != outliers.shape[1]:
            raise InputError(
                f"text_bank has {positive.shape[1]} columns, but model={self.model!r}, which embeds the "
                f"outlier_names, has {outliers.shape[1]}."
            )
        return {"text_bank_": TextBank(positive, outliers), "outlier_names_": names_of_outliers}

    def _outliers_beside(self, names: Sequence[str]) -> list[str]:
        known = {name.strip().casefold() for name in names}
        given = [] if self.outlier_names is None else [str(name) for name in self.outlier_names]
        outliers = [name for name in given if name.strip().casefold() not in known]
        if not outliers:
            raise VocabularyError(
                f"all outlier_names ({given[:5]}) are class names: nothing is left to be an outlier."
            )
        return outliers

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        return state.text_bank_.score(
            Z,
            lambda positive, negative, _: eoe(
                positive, negative, self.score_temperature, self.outlier_weight
            ),
        )


def _check_outlier_names(names: Any) -> None:
    if isinstance(names, str) or not hasattr(names, "__len__") or not hasattr(names, "__getitem__"):
        raise InputTypeError(f"outlier_names must be a sequence of names, got {names!r}.")
    check_words(names, "outlier_names", fold=True)
