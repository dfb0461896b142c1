"""The containers users bring: lists, arrays, tensors, Series."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import InputError, InputTypeError
from ._decode import check_not_single, decode_image


class ImageSequence(Sequence):
    """Images that are decoded one at a time, when asked for.

    Items are RGB Pillow images, or float tensors (3, height, width) that the user has preprocessed.
    """

    def __init__(self, n: int, load: Callable[[int], Any]) -> None:
        self._n = n
        self._load = load

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, index):
        if not 0 <= index < self._n:
            raise IndexError(index)
        return self._load(index)


def _is_tensor(X: Any) -> bool:
    return any(cls.__module__.split(".")[0] == "torch" for cls in type(X).__mro__[:-1])


def is_embeddings(X: Any) -> bool:
    """Whether `X` is a 2-D float matrix, which every detector takes as embeddings."""
    if _is_tensor(X):
        return X.ndim == 2 and X.is_floating_point()
    if isinstance(X, np.ndarray):
        return X.ndim == 2 and X.dtype.kind == "f"
    if hasattr(X, "dtypes") and hasattr(X, "iloc") and getattr(X, "ndim", 0) == 2:
        return all(getattr(dtype, "kind", "O") == "f" for dtype in X.dtypes)
    if hasattr(X, "__array__") and hasattr(X, "__len__"):
        # Other libraries' arrays and tables; what says its dtype is not read, since it may lie on a disk.
        X = X if hasattr(X, "ndim") and hasattr(X, "dtype") else np.asarray(X)
        return X.ndim == 2 and getattr(X.dtype, "kind", "O") == "f"
    if isinstance(X, list | tuple) and X and isinstance(X[0], list | tuple):
        # A nested list of numbers is how scikit-learn users write a small matrix.
        return all(isinstance(value, float | np.floating) for row in X for value in row)
    return False


def as_image_sequence(X: Any) -> ImageSequence:
    """View `X` as a sequence of images without decoding any.

    Parameters
    ----------
    X : list, tuple, 1-D object or str array, Series, uint8 array, or tensor
        Paths, bytes, Pillow images or uint8 arrays; or one uint8 array (n, height, width, channels);
        or one tensor (n, 3, height, width): uint8 pixels, or floats the user has already preprocessed.

    Returns
    -------
    ImageSequence

    Raises
    ------
    InputTypeError, InputError
        If `X` is not such a container, or is empty.
    """
    if isinstance(X, ImageSequence):
        return X
    check_not_single(X)
    if hasattr(X, "tocsr"):
        raise InputTypeError("Sparse data was passed, but embeddings must be dense; use X.toarray().")
    if _is_tensor(X):
        sequence = _from_tensor(X)
    elif isinstance(X, np.ndarray):
        sequence = _from_ndarray(X)
    elif hasattr(X, "to_numpy") and getattr(X, "ndim", None) == 1:
        sequence = _from_ndarray(X.to_numpy(dtype=object))
    elif hasattr(X, "columns"):
        raise InputTypeError(
            "X is a table; pass its image column (a Series), or a table of float embeddings."
        )
    elif hasattr(X, "__len__") and hasattr(X, "__getitem__") and not isinstance(X, dict | set):
        sequence = ImageSequence(len(X), lambda i: decode_image(X[i], i))
    else:
        raise InputTypeError(
            f"X is a {type(X).__name__}; expected a sequence of images or a 2-D float array of embeddings."
        )
    if len(sequence) == 0:
        raise InputError("X holds no images (found array with 0 sample(s)); at least 1 is required.")
    return sequence


def _from_ndarray(X: np.ndarray) -> ImageSequence:
    if X.ndim == 1 and X.dtype.kind in "OUS":
        return ImageSequence(len(X), lambda i: decode_image(X[i], i))
    if X.ndim == 4 and X.dtype == np.uint8:
        return ImageSequence(len(X), lambda i: decode_image(X[i], i))
    if X.dtype.kind == "c":
        hint = "Complex data not supported"
    elif X.ndim == 1 and X.dtype.kind == "f":
        hint = "Reshape your data with X.reshape(1, -1) if it is one embedding"
    elif X.ndim == 3 and X.dtype == np.uint8:
        hint = "add a leading axis for one image"
    else:
        hint = "embeddings are 2-D float arrays, pixels are uint8 arrays (n, height, width, channels)"
    raise InputError(f"X is an array of shape {X.shape} and dtype {X.dtype}: {hint}.")


def _from_tensor(X: Any) -> ImageSequence:
    if X.ndim != 4 or X.shape[1] != 3:
        raise InputError(
            f"X is a tensor of shape {tuple(X.shape)}; images are (n, 3, height, width), embeddings are "
            "(n, d) floats."
        )
    if X.is_floating_point():
        return ImageSequence(len(X), lambda i: X[i])
    if str(X.dtype) != "torch.uint8":
        raise InputError(f"X is a tensor of {X.dtype}; pixels must be uint8, preprocessed images floats.")
    return ImageSequence(len(X), lambda i: decode_image(X[i].permute(1, 2, 0).cpu().numpy(), i))
