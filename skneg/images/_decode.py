"""One image of any accepted kind to one RGB Pillow image, or one `ImageError`."""

from __future__ import annotations

import os
import struct
import threading
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from ..errors import ImageError, InputError

# Pillow opens many formats that no photograph comes in; each is one more parser to attack.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")

# What Pillow raises on damaged files, found by feeding it damaged files of each format.
_DECODER_ERRORS = (
    OSError,  # includes UnidentifiedImageError
    SyntaxError,  # Pillow's PNG reader
    ValueError,
    EOFError,
    IndexError,
    OverflowError,
    struct.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,  # an exception where the user has made warnings errors
)

# Resizing keeps the aspect ratio before it crops, so a strip one pixel high would fill the memory.
MAX_ASPECT = 100

# Pillow images load lazily, and the user may hand in one object twice while several threads decode.
_loading = threading.Lock()


def image_suffixes() -> list[str]:
    """How the files end that `decode_image` reads, in lower case: Pillow's suffixes of its formats."""
    # Pillow's reader of JPEG opens MPO as well, which phones write.
    return sorted(s for s, name in Image.registered_extensions().items() if name in (*FORMATS, "MPO"))


def decode_image(item: Any, index: int = 0) -> Image.Image:
    """Decode one image to RGB, upright, with transparency laid on white.

    Parameters
    ----------
    item : str, os.PathLike, bytes, PIL image, uint8 array or dict
        A path, an encoded file's bytes, a Pillow image, an array of shape (height, width),
        (height, width, 1), (height, width, 3) or (height, width, 4), or a Hugging Face image cell
        ``{"bytes": ..., "path": ...}``.
    index : int, default=0
        Position in the user's input, for error messages.

    Returns
    -------
    PIL.Image.Image
        Mode RGB.

    Raises
    ------
    ImageError
        If the image cannot be read or its pixels would be damaged by the conversion.
    """
    if isinstance(item, dict) and {"bytes", "path"} & set(item):
        item = item.get("bytes") if item.get("bytes") is not None else item.get("path")
    if isinstance(item, Image.Image):
        with _loading:
            return _to_rgb(item, index, "PIL image")
    if isinstance(item, np.ndarray):
        return _to_rgb(_from_array(item, index), index, "array")
    if isinstance(item, bytes | bytearray | memoryview):
        return _read(BytesIO(item), index, f"{len(item)} bytes")
    if isinstance(item, str | os.PathLike):
        path = os.fspath(item)
        if isinstance(path, str) and "://" in path:
            raise ImageError(
                f"image {index} is a URL ({path!r}); skneg opens files only: download it first.", index
            )
        return _read(path, index, repr(path))
    raise ImageError(
        f"image {index} is a {type(item).__name__}; use a path, bytes, a PIL image or a uint8 array.",
        index,
    )


def _read(source: Any, index: int, what: str) -> Image.Image:
    try:
        with Image.open(source, formats=FORMATS) as image:
            return _to_rgb(image, index, what)
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError(f"image {index} ({what}) does not exist.", index) from error
    except _DECODER_ERRORS as error:
        reason = f"{type(error).__name__}: {error}"
        raise ImageError(f"image {index} ({what}) cannot be read: {reason}", index) from error


def _from_array(array: np.ndarray, index: int) -> Image.Image:
    if array.dtype != np.uint8:
        hint = "embeddings are one 2-D array: use numpy.stack" if array.ndim == 1 else "0..255"
        raise ImageError(
            f"image {index} is an array of {array.dtype}; pixel arrays must be uint8 ({hint}).", index
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        raise ImageError(
            f"image {index} is an array of shape {array.shape}; expected (height, width) or "
            "(height, width, 1, 3 or 4).",
            index,
        )
    return Image.fromarray(np.ascontiguousarray(array))


def _to_rgb(image: Image.Image, index: int, what: str) -> Image.Image:
    width, height = image.size
    if width * height == 0:
        raise ImageError(f"image {index} ({what}) is empty ({width} x {height}).", index)
    if Image.MAX_IMAGE_PIXELS is not None and width * height > Image.MAX_IMAGE_PIXELS:
        raise ImageError(
            f"image {index} ({what}) has {width} x {height} pixels, more than "
            f"PIL.Image.MAX_IMAGE_PIXELS = {Image.MAX_IMAGE_PIXELS}; shrink it first.",
            index,
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ImageError(
            f"image {index} ({what}) is {width} x {height} pixels: sides that differ by more than a factor "
            f"of {MAX_ASPECT} cannot be resized sensibly; crop it first.",
            index,
        )
    try:
        image.load()  # truncated files fail here, not when they are opened
        return _flatten(_upright(image), index, what)
    except ImageError:
        raise
    except _DECODER_ERRORS as error:
        reason = f"{type(error).__name__}: {error}"
        raise ImageError(f"image {index} ({what}) cannot be read: {reason}", index) from error


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged metadata of any kind, beside sound pixels
        return image


def _flatten(image: Image.Image, index: int, what: str) -> Image.Image:
    if image.mode.startswith("I;16"):
        # convert("RGB") would clip everything above 255.
        pixels = np.asarray(image).astype(np.uint16)
        image = Image.fromarray((pixels >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise ImageError(
            f"image {index} ({what}) has mode {image.mode!r}, whose value range is not known; "
            "scale it to 8 bits first.",
            index,
        )
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        # Dropping alpha would show whatever colour lies hidden under transparent pixels.
        image = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        ground = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(ground, image)
    return image.convert("RGB")


def check_not_single(item: Any) -> None:
    """Refuse one bare image where a sequence of images is expected."""
    if isinstance(item, str | bytes | os.PathLike | Image.Image):
        raise InputError(
            f"X is a single {type(item).__name__}, expected a sequence of images; pass [X] for one image."
        )
