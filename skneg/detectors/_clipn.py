"""CLIPN: a second text tower that says "no"."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import check_option
from ..bank import TextBank
from ..errors import InputError, InputTypeError
from ..scores import clipn_atd, clipn_ctw
from ._choice import ScoreChoiceMixin
from ._text import TextDetector

if TYPE_CHECKING:
    from ..backbone import TextTower

_SCORES = {"atd": clipn_atd, "ctw": clipn_ctw}


class CLIPNDetector(ScoreChoiceMixin, TextDetector):
    """Zero-shot OOD detection with a text tower that was taught to say "no" [1]_.

    Every class has a text by CLIP's own tower and a "no" text by a second one; an image is known where
    the first outweighs the second. Nothing is trained here; `fit` sets the threshold, and needs no
    labels.

    Parameters
    ----------
    no_encoder : str or path
        Checkpoint of the "no" tower: the file that the authors publish for the model, or one made by
        `skneg.prompts.train_no_encoder`. Not needed with a `text_bank`.
    score : {"atd", "ctw"}, default="atd"
        ``"atd"``, agreeing to differ: the share of softmax mass whose class says yes. ``"ctw"``,
        competing to win: whether the best class says yes.
    no_templates : str, sequence of str or None, default="a photo without {}"
        Prompts around the class name for the "no" tower; the embeddings of several are averaged. None
        takes `templates`: the published towers have learned the "no" itself and read the same prompts
        as CLIP's own.
    templates : str or sequence of str, default="a photo of a {}"
        Prompts around the class name for CLIP's own tower.
    text_bank : TextBank, optional
        Ready text embeddings with one negative for each class (``per_class=1``), its "no" text; no
        text tower is used then.
    score_temperature : float, default=0.01
        What cosines are divided by in the score.
    class_names, model, pretrained, device, precision, batch_size, contamination, calibration, \
calibration_fraction, unknown_label, random_state, verbose
        See `MCMDetector`.

    Attributes
    ----------
    classes_, class_names_, text_bank_, offset_, temperature_, unknown_label_
        See `NegPromptDetector`; the bank has one negative for each class.

    References
    ----------
    .. [1] Wang et al., "CLIPN for Zero-Shot OOD Detection: Teaching CLIP to Say No", ICCV 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from skneg import CLIPNDetector, TextBank
    >>> rng = np.random.default_rng(0)
    >>> yes, no = rng.normal(size=(2, 3, 16)).astype(np.float32)
    >>> X = np.repeat(yes, 10, axis=0) + rng.normal(scale=0.1, size=(30, 16))
    >>> detector = CLIPNDetector(text_bank=TextBank(yes, no, per_class=1))
    >>> detector = detector.fit(X, class_names=["cat", "dog", "bird"])
    >>> detector.predict(np.stack([yes[1], no[1]])).tolist()
    ['dog', 'unknown']
    """

    def __init__(
        self,
        *,
        no_encoder: str | os.PathLike | None = None,
        score: str = "atd",
        no_templates: str | Sequence[str] | None = "a photo without {}",
        score_temperature: float = 0.01,
        **shared: Any,
    ) -> None:
        super().__init__(score_temperature=score_temperature, **shared)
        self.no_encoder = no_encoder
        self.score = score
        self.no_templates = no_templates

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_option("score", self._chosen_score, tuple(_SCORES))
        for template in self._no_template_list():
            if not isinstance(template, str) or template.count("{}") != 1:
                raise InputError(f"no_templates holds {template!r}; each must be a string with one '{{}}'.")
        # Before any image is encoded.
        if self._ready_bank() is None:
            self._no_tower()

    def _no_template_list(self) -> list[str]:
        if self.no_templates is None:
            return self._template_list()
        templates = [self.no_templates] if isinstance(self.no_templates, str) else list(self.no_templates)
        if not templates:
            raise InputError("no_templates is empty; give at least one, such as 'a photo without {}'.")
        return templates

    def _no_tower(self) -> TextTower:
        if self.no_encoder is None:
            raise InputError(
                'no_encoder must be the checkpoint of a "no" text tower: the one that the authors of '
                "CLIPN publish for the model, or a file made by skneg.prompts.train_no_encoder(images, "
                "captions, out='no.safetensors')."
            )
        if not isinstance(self.no_encoder, str | os.PathLike):
            raise InputTypeError(
                f"no_encoder must be the path of a checkpoint, got a {type(self.no_encoder).__name__}; "
                "save a trained tower with skneg.backbone.save_no_tower."
            )
        from ..backbone._no_tower import load_no_tower

        return load_no_tower(self._backbone(), self.no_encoder)

    def _ready_bank(self, names: Sequence[str] | None = None) -> TextBank | None:
        bank = super()._ready_bank(names)
        if bank is not None and bank.per_class != 1:
            raise InputError(
                'text_bank must have one negative for each class, its "no" text: '
                f"TextBank(positive, negative, per_class=1). It has {len(bank.positive)} classes, "
                f"{len(bank.negative)} negatives and per_class={bank.per_class}."
            )
        return bank

    def _weight_files(self) -> dict[str, Any]:
        return {} if self._ready_bank() is not None else {"no_encoder": self.no_encoder}

    def _make_bank(self, names: Sequence[str]) -> TextBank:
        bank = self._ready_bank(names)
        if bank is not None:
            return bank
        tower = self._no_tower()
        no = self._embed_texts(names, self._no_template_list(), tower)
        return TextBank(self._embed_texts(names), no, per_class=1)

    def _score_cosines(self, positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
        return _SCORES[self._chosen_score](positive, negative, self.score_temperature)
