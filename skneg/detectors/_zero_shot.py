"""What detectors share that learn nothing from images: prompt templates and ready text banks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np

from .._more_images import moved
from .._utils import check_templates, float_array, unit_rows
from ..bank import TextBank
from ..errors import InputError, InputTypeError, VocabularyError
from ..vocabulary import ClassNames, replace_vocabulary
from ..words import embed_names
from ._text_bank import TextBankDetector


class ZeroShotDetector(TextBankDetector):
    """Base class of detectors whose bank is made of hand-written prompts; see `MCMDetector`."""

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

    def set_vocabulary(
        self,
        class_names: ClassNames,
        X: Any = None,
        y: Any = None,
        groups: Any = None,
        *,
        text_bank: TextBank | np.ndarray | None = None,
    ) -> Self:
        """Replace the known classes; see `NegPromptDetector.set_vocabulary`.

        Parameters
        ----------
        class_names : sequence of str or mapping of label to str
            All classes known from now on.
        X, y, groups : optional
            Images of them for the threshold.
        text_bank : TextBank or ndarray of shape (k, d), optional
            Their text embeddings, in the order of `class_names`, for detectors that were constructed with
            a text bank.

        Returns
        -------
        self
        """
        state = self._fitted()
        if text_bank is not None:
            state = replace(state, learned={**state.learned, "given_bank_": text_bank})
        has_bank = self._ready_bank(state.learned) is not None  # its rows are in the order of the names
        self._state = moved(
            self, state, replace_vocabulary(class_names, state.classes_, has_bank), X, y, groups
        )
        return self

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_templates("templates", self.templates)
        self._ready_bank({})

    def _space(self) -> tuple[int | None, float]:
        bank = self._ready_bank({})
        # CLIP's temperature, for a bank whose model is not known.
        return super()._space() if bank is None else (bank.positive.shape[1], 0.01)

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        bank = self._ready_bank(learned, names)
        return {"text_bank_": TextBank.from_positives(self._embed_names(names)) if bank is None else bank}

    def _embed_names(self, names: Sequence[str]) -> np.ndarray:
        """Embeddings (k, d) of names or words in the templates."""
        templates = check_templates("templates", self.templates)
        return embed_names(self._backbone().text_tower, names, templates)

    def _positives(self, learned: Mapping[str, Any], names: Sequence[str]) -> np.ndarray:
        """Embeddings (k, d) of the class names: the user's own, or from the templates."""
        bank = self._ready_bank(learned, names)
        return self._embed_names(names) if bank is None else bank.positive

    def _ready_bank(self, learned: Mapping[str, Any], names: Sequence[str] | None = None) -> TextBank | None:
        """The user's own bank, checked; None where there is none."""
        bank = learned.get("given_bank_", self.text_bank)
        if bank is None:
            return None
        if not isinstance(bank, TextBank):
            rows = float_array(bank)
            if rows is None or rows.ndim != 2:
                raise InputTypeError("text_bank must be a TextBank or a 2-D array of text embeddings.")
            bank = TextBank.from_positives(rows)
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
