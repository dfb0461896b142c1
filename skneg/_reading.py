"""What a detector makes of X, and the model that it needs for that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import gen_batches

from ._doubts import warn_of_far_rows
from ._sklearn import check_columns
from ._state import FittedState
from ._utils import finite, refuse_masked, unit_rows
from .errors import InputError, PersistenceError
from .images import as_image_sequence, is_embeddings

if TYPE_CHECKING:
    from .backbone import Backbone

_CELLS = 2**21  # rows x classes, or columns, that a prediction works on at a time: 16 MiB an array in float64
_ROWS = 64  # at the least

_ANY_WIDTH = (
    "Embeddings of any model go with KNNDetector, MahalanobisDetector, LinearProbeDetector and "
    "NegPromptDetector(evidence='images')."
)

# The names of the models that the `fit` under way has used; None outside `fit`.
_used: ContextVar[list[str] | None] = ContextVar("used", default=None)


@contextmanager
def noting_models() -> Iterator[list[str]]:
    """Within this context, the names of all models that are used."""
    used: list[str] = []
    token = _used.set(used)
    try:
        yield used
    finally:
        _used.reset(token)


def loaded_backbone(detector: Any) -> Backbone:
    """The model, loaded when first needed; checked where a file says which weights it must have."""
    backbone = detector._encoder().backbone()
    used, state = _used.get(), vars(detector).get("_state")
    if used is not None:
        used.append(backbone.name)
    elif state is not None and "sha256" in (state.backbone or {}):
        from .persistence import check_backbone

        check_backbone(backbone, state.backbone)
        bank = getattr(state, "text_bank_", None)
        if bank is not None and bank.positive.shape[1] != (width := backbone.text_tower.embed_dim):
            found = bank.positive.shape[1]
            raise PersistenceError(
                f"its text embeddings have {found} columns, not {width} as {backbone.name}."
            )
    return backbone


def read_images(detector: Any, X: Any, state: FittedState | None) -> Any:
    """X checked: a unit-norm matrix of embeddings, or a sequence of images; `state` is None in `fit`."""
    X = _opened(detector, X, state)
    if not isinstance(X, np.ndarray):
        return X
    Z = unit_rows(X)
    if state is not None:
        warn_of_far_rows(Z.mean(axis=0, dtype=np.float64), len(Z), state.calibrator)
    return Z


def in_blocks(
    detector: Any, state: FittedState, X: Any, answer: Callable[[FittedState, Any], np.ndarray]
) -> np.ndarray:
    """Answers (n, ...) for images X, from what the method sees of some of them at a time.

    Nothing but the answers is kept: of embeddings no copy is made as a whole.
    """
    return np.concatenate([finite(answer(state, Z)) for Z in _blocks(detector, state, X)])


def _blocks(detector: Any, state: FittedState, X: Any) -> Iterator[Any]:
    X = _opened(detector, X, state)
    is_read = not isinstance(X, np.ndarray)
    if is_read:
        X = detector._represent(X)
    if not isinstance(X, np.ndarray):
        yield X  # pixels, which the method itself takes some at a time
        return
    step, total = max(_ROWS, _CELLS // max(len(state.classes_), X[0].size)), np.zeros(X.shape[1:])
    for rows in gen_batches(len(X), step):
        Z = X[rows] if is_read else unit_rows(X[rows], first=rows.start)
        total += Z.sum(axis=0, dtype=np.float64)
        yield Z if is_read else detector._represent(Z)
    if not is_read:
        warn_of_far_rows(total / len(X), len(X), state.calibrator)


def _opened(detector: Any, X: Any, state: FittedState | None) -> Any:
    """X as a matrix of embeddings that fits, its rows not looked at, or as a sequence of images."""
    refuse_masked("X", X)
    if is_embeddings(X):
        X, _ = check_columns(X, detector, None if state is None else state.columns)
    elif not _is_patches(detector, X):
        return as_image_sequence(X)
    if X.size == 0:
        raise InputError(f"X holds no images (found array with 0 sample(s) or feature(s): {X.shape}).")
    if state is None:
        width = detector._space()[0]
    else:
        bank = getattr(state, "text_bank_", None)
        width = (state.calibrator.images if bank is None else bank.positive).shape[-1]
    if width is not None and X.shape[-1] != width:
        told = f"X has {X.shape[-1]} columns, but model={detector.model!r} embeds in {width} dimensions."
        raise InputError(told if state is not None else f"{told} {_ANY_WIDTH}")
    return X


def count_images(detector: Any, X: Any) -> int:
    """The number of rows of X, nothing decoded."""
    return len(X) if is_embeddings(X) or _is_patches(detector, X) else len(as_image_sequence(X))


def _is_patches(detector: Any, X: Any) -> bool:
    """Whether X is what ``CLIPImageEncoder(local=True)`` gives, and the method takes it."""
    is_floats = isinstance(X, np.ndarray) and X.ndim == 3 and X.dtype.kind == "f"
    return is_floats and detector.needs == "local features"
