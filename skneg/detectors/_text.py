"""What detectors share that know their classes from text alone: prompt templates and ready text banks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..bank import TextBank
from ..base import BaseDetector
from ..embedding import unit_rows
from ..errors import InputError, InputTypeError, VocabularyError
from ..vocabulary import ClassNames

if TYPE_CHECKING:
    from ..backbone import TextTower


class TextDetector(BaseDetector):
    """Base class of detectors whose bank is made of hand-written prompts; see `MCMDetector`."""

    _learns = False

    def __init__(
        self,
        *,
        templates: str | Sequence[str] = "a photo of a {}",
        text_bank: TextBank | np.ndarray | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.templates = templates
        self.text_bank = text_bank

    def set_vocabulary(self, class_names: ClassNames, text_bank: TextBank | np.ndarray | None = None) -> Self:
        """Replace the known classes; see `NegPromptDetector.set_vocabulary`.

        Parameters
        ----------
        class_names : sequence of str or mapping of label to str
            All classes known from now on.
        text_bank : TextBank or ndarray of shape (k, d), optional
            Their text embeddings, for detectors that were constructed with a text bank.

        Returns
        -------
        self
        """
        if text_bank is None:
            return super().set_vocabulary(class_names)
        had = dict(vars(self))
        self.given_bank_ = text_bank
        try:
            return super().set_vocabulary(class_names)
        except BaseException:
            self.__dict__ = had
            raise

    def _check_parameters(self) -> None:
        super()._check_parameters()
        for template in self._template_list():
            if not isinstance(template, str) or template.count("{}") != 1:
                raise InputError(f"templates holds {template!r}; each must be a string with one '{{}}'.")

    def _template_list(self) -> list[str]:
        templates = [self.templates] if isinstance(self.templates, str) else list(self.templates)
        if not templates:
            raise InputError("templates is empty; give at least one, such as 'a photo of a {}'.")
        return templates

    def _embed_texts(
        self, names: Sequence[str], templates: Sequence[str] | None = None, tower: TextTower | None = None
    ) -> np.ndarray:
        """Unit-norm mean over the templates (n, d) of the prompts' embeddings."""
        tower = self._backbone().text_tower if tower is None else tower
        templates = self._template_list() if templates is None else templates
        total = sum(tower.encode([t.format(name) for name in names]) for t in templates)
        return total / np.linalg.norm(total, axis=1, keepdims=True)

    def _ready_bank(self, names: Sequence[str] | None = None) -> TextBank | None:
        """The user's own bank, checked; None where there is none."""
        bank = getattr(self, "given_bank_", None)
        bank = self.text_bank if bank is None else bank
        if bank is None:
            return None
        if not isinstance(bank, TextBank):
            if np.ndim(bank) != 2:
                raise InputTypeError("text_bank must be a TextBank or a 2-D array of text embeddings.")
            bank = TextBank.from_positives(np.asarray(bank, dtype=np.float32))
        if len(bank.common):
            raise InputError(
                f"text_bank has {len(bank.common)} rows of `common`, which {type(self).__name__} does not "
                "read; its negatives belong in `negative`."
            )
        if names is not None and len(names) != len(bank.positive):
            raise VocabularyError(
                f"text_bank has {len(bank.positive)} rows for {len(names)} class names; with a text bank, "
                "new names need new rows: set_vocabulary(names, text_bank=...)."
            )
        return TextBank(
            unit_rows(bank.positive, "text_bank.positive"),
            unit_rows(bank.negative, "text_bank.negative"),
            bank.per_class,
        )

    def _make_bank(self, names: Sequence[str]) -> TextBank:
        bank = self._ready_bank(names)
        return TextBank.from_positives(self._embed_texts(names)) if bank is None else bank

    def _bank_with(self, names: Sequence[str]) -> TextBank | None:
        return None if self._ready_bank() is not None else super()._bank_with(names)

    def _model_temperature(self) -> float:
        # CLIP's, for a bank whose model is not known.
        return 0.01 if self._ready_bank() is not None else super()._model_temperature()

    def _model_width(self) -> int | None:
        bank = self._ready_bank()
        return super()._model_width() if bank is None else bank.positive.shape[1]
