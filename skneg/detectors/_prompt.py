"""What detectors share that learn prompts: a recipe, which classes are trained, contexts to embeddings."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._texts import embedded_once
from .._utils import check_kind
from ..errors import InputError, VocabularyError
from ..prompts.recipe import CoOpRecipe, PromptRecipe
from ._text_bank import TextBankDetector


class PromptDetector(TextBankDetector):
    """Base class of the detectors that learn prompts; see `NegPromptDetector` and `CoOpDetector`."""

    training = "prompts"
    default_recipe: CoOpRecipe | PromptRecipe = CoOpRecipe()
    """What `recipe=None` stands for."""

    def __init__(
        self,
        *,
        recipe: CoOpRecipe | PromptRecipe | None = None,
        calibration: str | float = "auto",
        random_state: Any = None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.recipe = recipe
        self.calibration = calibration
        self.random_state = random_state

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_kind("recipe", self._recipe(), type(self.default_recipe))
        self._recipe().check()

    def _recipe(self) -> Any:
        return self.default_recipe if self.recipe is None else self.recipe

    def _embed_contexts(self, contexts: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """Unit-norm embeddings (n_contexts, k, d) of the names behind learned contexts."""
        from ..prompts.encoding import embed_contexts

        tower = self._backbone().text_tower
        own = contexts.ndim == 4  # a set of contexts for each name
        around = (
            [_digest(contexts[:, i]) for i in range(len(names))] if own else [_digest(contexts)] * len(names)
        )

        def embed(new: list[int]) -> np.ndarray:
            behind = contexts[:, new] if own else contexts
            return embed_contexts(tower, behind, [names[i] for i in new]).swapaxes(0, 1)

        texts = [(tower, *text) for text in zip(around, names, strict=True)]
        return embedded_once(texts, embed).swapaxes(0, 1)


def _digest(contexts: np.ndarray) -> bytes:
    return hashlib.sha256(contexts.tobytes()).digest()


def trained_classes(
    targets: np.ndarray, names: Sequence[str], at_least: int = 2
) -> tuple[list[str], np.ndarray]:
    """The names that have images, and the targets as positions among them.

    Classes without images wait for the bank, as in the paper's open-vocabulary setting.
    """
    present = np.unique(targets)
    if len(present) < at_least:
        raise InputError(
            f"prompt learning needs images of at least 2 classes, got 1 class: {names[present[0]]!r}. "
            "NegPromptDetector(evidence='images') takes one."
        )
    return [names[i] for i in present], np.searchsorted(present, targets)


def rows_of(learned: Mapping[str, Any], names: Sequence[str], why: str) -> list[int]:
    """Which trained class each name is, for contexts that are a class's own."""
    trained = learned["trained_names_"]
    for name in names:
        if name not in trained:
            raise VocabularyError(f"{name!r} has no context of its own: {why}")
    return [trained.index(name) for name in names]
