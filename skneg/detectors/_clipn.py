"""CLIPN: a second text tower that says "no"."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils import check_option, check_templates
from ..bank import TextBank
from ..errors import InputError, InputTypeError
from ..scores import clipn_atd, clipn_ctw
from ..words import embed_names
from ._zero_shot import ZeroShotDetector

if TYPE_CHECKING:
    from .._state import FittedState
    from ..backbone import TextTower

_SCORES = {"atd": clipn_atd, "ctw": clipn_ctw}


class CLIPNDetector(ZeroShotDetector):
    """Zero-shot OOD detection with a text tower that was taught to say "no" [1]_.

    Every class has a text by CLIP's own tower and a "no" text by a second one; an image is known where
    the first outweighs the second. Nothing is trained here; `fit` sets the threshold, and needs no
    labels.

    Parameters
    ----------
    no_encoder : str or path
        Checkpoint of the "no" tower: the file that the authors publish for the model, or one made by
        `skneg.prompts.train_no_encoder`. Not needed with a `text_bank`.
    score_func : {"atd", "ctw"}, default="atd"
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
    model, class_names, contamination, random_state, calibration, unknown_label, pretrained, device, \
precision, batch_size, verbose
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

    needs = 'a "no" text tower'
    reference = "Wang et al., ICCV 2023"
    weight_files = ("no_encoder",)

    def __init__(
        self,
        *,
        no_encoder: str | os.PathLike | None = None,
        score_func: str = "atd",
        no_templates: str | Sequence[str] | None = "a photo without {}",
        score_temperature: float = 0.01,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.no_encoder = no_encoder
        self.score_func = score_func
        self.no_templates = no_templates
        self.score_temperature = score_temperature

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_option("score_func", self.score_func, tuple(_SCORES))
        if self.no_templates is not None:
            check_templates("no_templates", self.no_templates)
        bank = self._ready_bank({})
        if bank is not None:
            _check_bank(bank)
        elif not self.__sklearn_is_fitted__():
            self._no_tower()  # before any image is encoded

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
        from ..backbone import load_no_tower

        if self.__sklearn_is_fitted__():
            from ..persistence import check_weight_file

            check_weight_file("no_encoder", self.no_encoder, self._fitted().backbone)
        return load_no_tower(self._backbone(), self.no_encoder)

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        bank = self._ready_bank(learned, names)
        if bank is not None:
            _check_bank(bank)
            return {"text_bank_": bank}
        templates = self.templates if self.no_templates is None else self.no_templates
        no = embed_names(self._no_tower(), names, check_templates("no_templates", templates))
        return {"text_bank_": TextBank(self._embed_names(names), no, per_class=1)}

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        score = _SCORES[self.score_func]
        return state.text_bank_.score(
            Z, lambda positive, negative, _: score(positive, negative, self.score_temperature)
        )


def _check_bank(bank: TextBank) -> None:
    if bank.per_class != 1:
        raise InputError(
            'text_bank must have one negative for each class, its "no" text: '
            f"TextBank(positive, negative, per_class=1). It has {len(bank.positive)} classes, "
            f"{len(bank.negative)} negatives and per_class={bank.per_class}."
        )
