"""How estimators turn images into embeddings: by the name of a backbone, loaded when first used."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import validate_data

from ._validation import check_at_least
from .errors import InputError, InputTypeError
from .images import as_image_sequence

if TYPE_CHECKING:
    from .backbone import Backbone


def unit_rows(X: np.ndarray, name: str = "X") -> np.ndarray:
    """Float32 vectors of length 1 along the last axis; rows that are so already keep their bits.

    Computed in float64 after division by the largest entry, so that no scale overflows.

    Raises
    ------
    InputError
        If a row is not finite or all zeros; names it and `name`.
    """
    # In one order: sums, and so the last bits, would depend on the layout that X came in.
    X = np.asarray(X, dtype=np.float64, order="C")
    largest = np.abs(X).max(axis=-1, keepdims=True)
    for bad, what in ((~np.isfinite(largest), "NaN or infinity"), (largest == 0, "a vector of all zeros")):
        if bad.any():
            row = int(bad.reshape(len(X), -1).any(axis=1).argmax())
            raise InputError(f"Input {name} contains {what}, first in row {row}.")
    is_unit = np.abs(np.linalg.norm(X, axis=-1, keepdims=True) - 1) < 1e-6
    X = np.where(is_unit, X, X / largest)
    return (X / np.where(is_unit, 1, np.linalg.norm(X, axis=-1, keepdims=True))).astype(np.float32)


def check_embeddings(estimator: Any, X: Any, reset: bool) -> np.ndarray:
    """A float64 matrix of embeddings in any container, checked as scikit-learn does, with typed errors."""
    if hasattr(X, "detach"):
        X = X.detach().float().cpu().numpy()
    try:
        return validate_data(
            estimator, X, reset=reset, dtype=np.float64, ensure_all_finite=False, estimator=estimator
        )
    except TypeError as error:
        raise InputTypeError(str(error)) from error
    except ValueError as error:
        raise InputError(str(error)) from error


class EmbeddingMixin:
    """Images to embeddings with the backbone that `model`, `pretrained`, `device`, `precision` name."""

    model: str
    pretrained: str | None
    device: str
    precision: str
    batch_size: int
    verbose: bool | int

    def _backbone(self) -> Backbone:
        from .backbone import load_backbone

        return load_backbone(self.model, self.pretrained, self.device, self.precision)

    def _encode_images(self, X: Any, local: bool = False) -> np.ndarray:
        images = as_image_sequence(X)
        check_at_least("batch_size", self.batch_size, 1, Integral)
        return self._backbone().image_tower.encode(images, self.batch_size, bool(self.verbose), local=local)
