"""The containers users bring: lists, arrays, tensors, Series."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
from PIL import Image

from .._utils import check_at_least, refuse_masked
from ..errors import ImageError, InputError, InputTypeError
from ._decode import (
    CHANNELS,
    MAX_PIXELS,
    check_not_single,
    image_suffixes,
    is_cell,
    may_be_turned,
    read_image,
    to_uint8,
    warn_of_turns,
)


class ImageSequence(Sequence):
    """Images that are decoded one at a time, when asked for.

    Items are RGB Pillow images, or float tensors (3, height, width) that the user has preprocessed.

    Parameters
    ----------
    n : int
        How many there are.
    load : callable
        Gives the image of a row.
    paths : list of str, optional
        Where they lie; "" for an image that came otherwise, None where all did. Kept as an attribute.
    load_small : callable, optional
        Gives the image of a row for a tower; see `at_least`, which calls it with the row and the side.
    """

    def __init__(
        self,
        n: int,
        load: Callable[[int], Any],
        paths: list[str] | None = None,
        load_small: Callable[[int, int], Any] | None = None,
    ) -> None:
        self._n = n
        self._load = load
        self._load_small = load_small
        self.paths = paths

    def at_least(self, side: int) -> ImageSequence:
        """The same images, to be made smaller: JPEG files may come at 1/2, 1/4 or 1/8 of their size.

        Parameters
        ----------
        side : int
            Pixels that each side has at least where the file has as many.
        """
        load = self._load_small
        return self if load is None else ImageSequence(self._n, lambda row: load(row, side), self.paths)

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, index):
        if not 0 <= index < self._n:
            raise IndexError(index)
        return self._load(index)

    def take(self, rows: Sequence[int]) -> ImageSequence:
        """Some of the images, none decoded; an error numbers them by their place among these."""
        small = self._load_small

        def load(place: int, side: int | None = None) -> Any:
            try:
                return self[rows[place]] if side is None or small is None else small(rows[place], side)
            except ImageError as error:
                raise error.at(place) from error

        paths = None if self.paths is None else [self.paths[i] for i in rows]
        return ImageSequence(len(rows), load, paths, None if small is None else load)


def _is_tensor(X: Any) -> bool:
    # torch's data sets are no tensors.
    is_torch = any(cls.__module__.split(".")[0] == "torch" for cls in type(X).__mro__[:-1])
    return is_torch and hasattr(X, "is_floating_point")


def is_embeddings(X: Any) -> bool:
    """Whether `X` is a 2-D float matrix, which every detector takes as embeddings."""
    if _is_tensor(X):
        return X.ndim == 2 and X.is_floating_point() and _has_values(X)
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


def as_image_sequence(X: Any, max_pixels: int = MAX_PIXELS) -> ImageSequence:
    """View `X` as a sequence of images without decoding any.

    Parameters
    ----------
    X : list, tuple, array, Series, one-column table, tensor or data set
        Paths, bytes, Pillow images, uint8 arrays (height, width, channels) or tensors (channels, height,
        width); or all in one uint8 array (n, height, width, channels) or tensor (n, channels, height,
        width). Tensors hold uint8 pixels, or floats the user has already preprocessed for the model.
        Also whatever has a length and gives item i as ``X[i]``, such as data sets of torch, torchvision
        and Hugging Face. An item may be a tuple or a row with one image beside labels and names, or with
        one called "image".
    max_pixels : int, default=178_956_970
        An image that has more is refused before it is decoded; see `decode_image`. An `ImageSequence` keeps
        the limit that it has.

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
    check_at_least("max_pixels", max_pixels, 1, Integral)
    check_not_single(X)
    refuse_masked("X", X)
    if hasattr(X, "tocsr"):
        raise InputTypeError("Sparse data was passed, but embeddings must be dense; use X.toarray().")
    if _is_tensor(X):
        _check_tensor(X)
        sequence = _of_items(X, max_pixels)
    elif isinstance(X, np.ndarray):
        sequence = _from_ndarray(X, max_pixels)
    elif hasattr(X, "to_numpy") and getattr(X, "ndim", None) == 1:
        sequence = _from_ndarray(X.to_numpy(dtype=object), max_pixels)
    elif hasattr(X, "columns"):
        columns = list(X.columns)
        if len(columns) != 1:
            raise InputTypeError(
                f"X is a table with columns {columns[:10]}; pass its image column, such as "
                f"X[{columns[0] if columns else 'name'!r}], or a table of float embeddings."
            )
        return as_image_sequence(X[columns[0]], max_pixels)
    elif hasattr(X, "__len__") and hasattr(X, "__getitem__") and not isinstance(X, Mapping):
        sequence = _of_items(X, max_pixels, at_hand=isinstance(X, list | tuple))
    else:
        raise InputTypeError(
            f"X is a {type(X).__name__}; expected a sequence of images or a 2-D float array of embeddings"
            f"{_way_out(X)}."
        )
    if len(sequence) == 0:
        raise InputError("X holds no images (found array with 0 sample(s)); at least 1 is required.")
    return sequence


def images_or_none(X: Any) -> ImageSequence | None:
    """`as_image_sequence`, or None where `X` is something else, such as embeddings."""
    try:
        return None if is_embeddings(X) else as_image_sequence(X)
    except (InputError, InputTypeError):
        return None


def _way_out(X: Any) -> str:
    """How to make a sequence of something that is none."""
    if isinstance(X, Mapping):
        return f": pass one of its entries, X[{next(iter(X))!r}] or another" if X else ""
    if hasattr(X, "dataset"):
        return ". A loader gives batches, perhaps shuffled: pass X.dataset"
    return ": pass list(X)" if hasattr(X, "__iter__") else ""


def _of_items(X: Any, max_pixels: int, at_hand: bool = False) -> ImageSequence:
    """A sequence of ``X[0]``, ``X[1]`` and so on; `at_hand` where these take no time."""
    # A warning for all, while in the user's own thread, is better than one from each worker's.
    given = [_given_image(item) for item in X] if at_hand else []
    turned = [i for i, item in enumerate(given) if may_be_turned(item)]
    if turned:
        warn_of_turns(turned)
    warned: list[int] = []

    def load(index: int, side: int | None = None) -> Any:
        return _load(X[index], index, partial(decode, side=side))

    def decode(item: Any, index: int, side: int | None) -> Image.Image:
        if not at_hand and not warned and may_be_turned(item):  # once: there may be very many
            warned.append(index)
            warn_of_turns(warned, and_more=True)
        return read_image(item, index, side, max_pixels)

    paths = [os.fspath(item) if isinstance(item, str | os.PathLike) else "" for item in given]
    return ImageSequence(len(X), load, paths if any(paths) else None, load)


def _load(item: Any, index: int, decode: Callable[[Any, int], Any]) -> Any:
    item = _image_of(item, index)
    if np.ma.is_masked(item):
        raise ImageError(f"image {index} is an array with masked pixels: fill them.", index)
    if not _is_tensor(item):
        return decode(item, index)
    if item.ndim != 3 or item.shape[0] not in CHANNELS:
        hint = "; embeddings are one 2-D tensor: use torch.stack(X)" if item.ndim == 1 else ""
        shape = tuple(item.shape)
        raise ImageError(
            f"image {index} is a tensor of shape {shape}; expected (1, 3 or 4, height, width){hint}.", index
        )
    if item.is_floating_point():
        return item
    if str(item.dtype) != "torch.uint8":
        raise ImageError(f"image {index} is a tensor of {item.dtype}; pixels are uint8.", index)
    return decode(item.permute(1, 2, 0).cpu().numpy(), index)


def _given_image(item: Any) -> Any:
    """`_image_of`, or None where there is none: that is an error of who reads it."""
    try:
        return _image_of(item, 0)
    except ImageError:
        return None


def _image_of(item: Any, index: int) -> Any:
    """The image among what a data set gives for a row: (image, label), or a dict with more columns."""
    if not isinstance(item, tuple | list | Mapping) or is_cell(item):
        return item
    if isinstance(item, Mapping) and "image" in item:
        return item["image"]
    parts = list(item.values()) if isinstance(item, Mapping) else item
    # Beside an image a path says where it is from.
    images = [part for part in parts if _is_image(part)] or [part for part in parts if _is_image_path(part)]
    if len(images) != 1:
        held = [str(key) for key in item] if isinstance(item, Mapping) else [type(p).__name__ for p in parts]
        raise ImageError(
            f"image {index} is a {type(item).__name__} of {held[:10]}, in which {len(images)} are images: "
            "pass a list with the image of each row.",
            index,
        )
    return images[0]


def _is_image(part: Any) -> bool:
    return isinstance(part, bytes | Image.Image) or is_cell(part) or getattr(part, "ndim", 0) > 1


def _is_image_path(part: Any) -> bool:
    return isinstance(part, str | os.PathLike) and os.path.splitext(part)[1].lower() in image_suffixes()


def _from_ndarray(X: np.ndarray, max_pixels: int) -> ImageSequence:
    if X.ndim == 2 and X.shape[1] == 1 and X.dtype.kind in "OUST":
        X = X[:, 0]  # one column of a table
    if X.ndim == 1 and X.dtype.kind in "OUST":
        return _of_items(X, max_pixels, at_hand=X.dtype.kind in "OU")
    is_planes = X.ndim == 4 and X.shape[1] in CHANNELS and X.shape[3] not in CHANNELS
    if X.ndim == 4 and X.dtype == np.uint8 and not is_planes:
        _check_range(X)
        return _of_items(X, max_pixels)
    if X.dtype.kind == "c":
        hint = "Complex data not supported"
    elif X.ndim == 1 and X.dtype.kind == "f":
        hint = "Reshape your data with X.reshape(1, -1) if it is one embedding"
    elif X.ndim == 3 and X.dtype == np.uint8:
        is_one = X.shape[2] in CHANNELS
        hint = "add a leading axis for one image, X[None]" if is_one else "write X[..., None] for grey images"
    elif is_planes and X.dtype == np.uint8:
        hint = "channels come last: use X.transpose(0, 2, 3, 1)"
    else:
        hint = "embeddings are 2-D float arrays, pixels are uint8 arrays (n, height, width, channels)"
        if X.ndim in (3, 4) and X.dtype.kind in "fuib":
            hint += f": {to_uint8(X.dtype)}"
    raise InputError(f"X is an array of shape {X.shape} and dtype {X.dtype}: {hint}.")


def _has_values(X: Any) -> bool:
    return not X.is_meta and str(X.layout) == "torch.strided"


def _check_tensor(X: Any) -> None:
    if not _has_values(X):
        what = "on the meta device, which has no values" if X.is_meta else f"of {X.layout}: use X.to_dense()"
        raise InputTypeError(f"X is a tensor {what}.")
    if X.ndim != 4 or X.shape[1] not in CHANNELS:
        hint = "; use X.permute(0, 3, 1, 2)" if X.ndim == 4 and X.shape[3] in CHANNELS else ""
        raise InputError(
            f"X is a tensor of shape {tuple(X.shape)}; images are (n, 3, height, width), embeddings are "
            f"(n, d) floats{hint}."
        )
    if str(X.dtype) == "torch.uint8":
        _check_range(X)
    elif not X.is_floating_point():
        raise InputError(f"X is a tensor of {X.dtype}; pixels must be uint8, preprocessed images floats.")


def _check_range(X: Any) -> None:
    """Refuse pixels that were floats in 0..1 when they were made integers, and a fourth channel that is none.

    Some rows tell.
    """
    if len(X) and 0 in X.shape:
        raise InputError(f"X has images without pixels: its shape is {tuple(X.shape)}.")
    if len(X) and X.shape[-1] == CHANNELS[-1] and X[:64, ..., -1].max() <= 1:
        raise InputError(
            "X has a fourth channel of 0 or 1 in all pixels, which as alpha makes them white: drop it, "
            "X[..., :3], or scale it to 0..255."
        )
    if X.size and X[:64].max() == 1:
        raise InputError(
            "X holds 0 and 1 only, which is black in 0..255: floats from 0..1 must be scaled before they are "
            "made uint8, as (X * 255)."
        )
