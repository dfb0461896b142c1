"""One image of any accepted kind to one RGB Pillow image, or one `ImageError`."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from functools import cache
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from .._files import open_regular
from .._forks import ForkLock
from .._utils import warn
from ..errors import ImageError, InputError, InputWarning
from ._open import opened
from ._rgb import to_rgb, turn_that_is_due

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
    RuntimeError,  # Pillow's AVIF reader
    Warning,  # of large images and damaged metadata: exceptions where the user has made warnings errors
)

MAX_PIXELS = 178_956_970
"""Pixels of an image at most, by default: where Pillow refuses too. The largest cameras have 150 million."""

# Bytes that Pillow may need for the pixels of one image, 4 for each, whatever limit of pixels is asked for.
_MAX_DECODED = 2**32

# Bytes of a file, of which metadata may be most: a TIFF of MAX_PIXELS has at most 8 bytes a pixel.
_LARGEST_IMAGE = 2**31

# Resizing keeps the aspect ratio before it crops, so a strip one pixel high would fill the memory.
MAX_ASPECT = 100

CHANNELS = (1, 3, 4)  # grey, RGB, RGBA

# Pillow images load lazily, and the user may hand in one object twice while several threads decode.
_loading = ForkLock()


@cache
def image_suffixes() -> tuple[str, ...]:
    """How the files end that `decode_image` reads, in lower case: Pillow's suffixes of its formats."""
    # Pillow's reader of JPEG opens MPO as well, which phones write.
    known = Image.registered_extensions().items()
    return tuple(sorted(suffix for suffix, name in known if name in (*FORMATS, "MPO")))


def decode_image(item: Any, index: int = 0, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode one image to RGB, upright, with transparency laid on white.

    Values of 16 bits are scaled by the range that the file names (TIFF, PGM), else by 2 ** 16. Those that
    use less than a quarter of it are refused: they hold fewer bits, and would come out dark or black.

    A Pillow image is turned as its EXIF tag says. Pillow keeps the tag when it resizes, crops or converts,
    where the turn is still due, but also when the user has turned the image with `transpose`, where it is
    not. So an `InputWarning` names an image with the tag that is no longer a file's (its ``format`` is
    None).

    Parameters
    ----------
    item : str, os.PathLike, bytes, PIL image, uint8 array or dict
        A path, an encoded file's bytes, a Pillow image, an array of shape (height, width),
        (height, width, 1), (height, width, 3) or (height, width, 4), colours in the order RGB, or a
        Hugging Face image cell ``{"bytes": ..., "path": ...}``.
    index : int, default=0
        Position in the user's input, for error messages.
    max_pixels : int, default=178_956_970
        An image that has more is refused before it is decoded. Pillow refuses more than twice
        ``PIL.Image.MAX_IMAGE_PIXELS`` as well, and 2 ** 30 is the most.

    Returns
    -------
    PIL.Image.Image
        Mode RGB.

    Raises
    ------
    ImageError
        If the image cannot be read or its pixels would be damaged by the conversion.
    """
    if may_be_turned(item):
        warn_of_turns([index])
    return read_image(item, index, max_pixels=max_pixels)


def may_be_turned(item: Any) -> bool:
    """Whether an image says that it must be turned, but is no file's any more, and may be turned already."""
    return isinstance(item, Image.Image) and item.format is None and turn_that_is_due(item) != 1


def warn_of_turns(rows: Sequence[int], and_more: bool = False) -> None:
    """Name the images that are turned as their EXIF tag says, but may be turned already."""
    named = ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")
    several = "and perhaps others" if and_more else f"{len(rows)} in all"
    warn(
        f"Pillow images (row {named}; {several}) no longer come straight from a file, but still have "
        "an EXIF tag that says how they must be turned. They are turned. If you have turned them "
        "already, use ImageOps.exif_transpose(image) for that, which removes the tag, or del "
        "image.getexif()[0x112].",
        InputWarning,
    )


def read_image(item: Any, index: int, side: int | None = None, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """`decode_image` without its warning; a JPEG file may come smaller, with no side below `side` pixels."""
    limits = max_pixels, side
    if is_cell(item):
        item = item.get("bytes") if item.get("bytes") is not None else item.get("path")
    if isinstance(item, Image.Image):
        with _loading.held():
            image = _checked(item, index, "PIL image", max_pixels)
        return image.copy() if image is item else image  # the user may draw on either
    if getattr(item, "ndim", 0) > 1 and hasattr(item, "__array__"):
        return _checked(_from_array(np.asarray(item), index), index, "array", max_pixels)
    if isinstance(item, np.bytes_) and os.path.isfile(item):
        item = os.fsdecode(item)  # of an array of paths as bytes
    if isinstance(item, bytes | bytearray | memoryview):
        return _read(BytesIO(item), index, f"{len(item)} bytes", *limits)
    if isinstance(item, str | os.PathLike):
        path = os.fspath(item)
        if isinstance(path, str) and "://" in path:
            raise ImageError(
                f"image {index} is a URL ({path!r}); skneg opens files only: download it first.", index
            )
        return _read_file(path, index, *limits)
    hint = "; embeddings are one 2-D array: use numpy.stack(X)" if isinstance(item, np.ndarray) else ""
    raise ImageError(
        f"image {index} is a {type(item).__name__}; use a path, bytes, a PIL image or a uint8 array{hint}.",
        index,
    )


def is_cell(item: Any) -> bool:
    """Whether an item is Hugging Face's undecoded image."""
    return isinstance(item, Mapping) and bool(item) and set(item) <= {"bytes", "path"}


def _read_file(path: str | bytes, index: int, max_pixels: int, side: int | None) -> Image.Image:
    try:
        with open_regular(path) as file:
            if (size := os.fstat(file.fileno()).st_size) > _LARGEST_IMAGE:
                raise ImageError(
                    f"image {index} ({path!r}) has {size} bytes, more than {_LARGEST_IMAGE}: shrink it.",
                    index,
                )
            return _read(file, index, repr(path), max_pixels, side)
    except ImageError:
        raise
    except FileNotFoundError as error:
        hint = " Write os.path.expanduser(path) for '~'." if os.fsdecode(path).startswith("~") else ""
        raise ImageError(f"image {index} ({path!r}) does not exist.{hint}", index) from error
    except (OSError, ValueError) as error:  # NUL in a path is a ValueError
        is_folder = isinstance(error, IsADirectoryError)
        hint = ". It is a folder: take skneg.datasets.list_images(folder)" if is_folder else ""
        reason = f"{type(error).__name__}: {error}{hint}"
        raise ImageError(f"image {index} ({path!r}) cannot be read: {reason}", index) from error


def _read(source: BinaryIO, index: int, what: str, max_pixels: int, side: int | None) -> Image.Image:
    try:
        with opened(source, FORMATS) as image:
            return _checked(image, index, what, max_pixels, side)
    except ImageError:
        raise
    except _DECODER_ERRORS as error:
        told = str(error).replace(repr(source), "it")
        reason = f"{type(error).__name__}: {told}{_what_else(source)}"
        raise ImageError(f"image {index} ({what}) cannot be read: {reason}", index) from error


def _what_else(source: BinaryIO) -> str:
    """What bytes are that hold no image."""
    if not isinstance(source, BytesIO):
        return ""
    # Whether there is such a file is nothing to tell whoever sends bytes.
    is_path = source.getvalue()[:4096].lower().endswith(tuple(map(str.encode, image_suffixes())))
    return ". It looks like the path of a file: take os.fsdecode(path)" if is_path else ""


def _from_array(array: np.ndarray, index: int) -> Image.Image:
    shape = array.shape
    if array.dtype != np.uint8:
        raise ImageError(
            f"image {index} is an array of {array.dtype}; pixel arrays must be uint8, 0..255: "
            f"{to_uint8(array.dtype)}.",
            index,
        )
    if len(shape) == 3 and shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and shape[2] not in CHANNELS) or 0 in shape:
        hint = "; use image.transpose(1, 2, 0)" if len(shape) == 3 and shape[0] in CHANNELS else ""
        raise ImageError(
            f"image {index} is an array of shape {shape}; expected (height, width) or "
            f"(height, width, 1, 3 or 4){hint}.",
            index,
        )
    return Image.fromarray(np.ascontiguousarray(array))


def to_uint8(dtype: np.dtype) -> str:
    """The line that makes pixels of a dtype uint8."""
    if dtype.kind == "f":
        return "(X * 255).astype('uint8') from 0..1, X.astype('uint8') from 0..255"
    if dtype == np.uint16:
        return "(X >> 8).astype('uint8') from 16 bits, (X >> 4).astype('uint8') from 12 bits"
    return "X.astype('uint8') * 255" if dtype.kind == "b" else "X.astype('uint8') from 0..255"


def _checked(
    image: Image.Image, index: int, what: str, max_pixels: int, side: int | None = None
) -> Image.Image:
    width, height = image.size
    if width * height == 0:
        raise ImageError(f"image {index} ({what}) is empty ({width} x {height}).", index)
    if width * height > (most := min(max_pixels, _MAX_DECODED // 4)):
        raise ImageError(
            f"image {index} ({what}) has {width} x {height} pixels, more than max_pixels = {most}: shrink it "
            "first, or give max_pixels= to CLIPImageEncoder or skneg.images.as_image_sequence.",
            index,
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ImageError(
            f"image {index} ({what}) is {width} x {height} pixels: sides that differ by more than a factor "
            f"of {MAX_ASPECT} cannot be resized sensibly; crop it first.",
            index,
        )
    if side is not None:
        _shrink(image, side)
    try:
        return to_rgb(image, f"image {index} ({what})", index)
    except ImageError:
        raise
    except _DECODER_ERRORS as error:
        reason = f"{type(error).__name__}: {error}"
        raise ImageError(f"image {index} ({what}) cannot be read: {reason}", index) from error


def _shrink(image: Image.Image, side: int) -> None:
    """Have libjpeg decode at 1/2, 1/4 or 1/8 of the size, if the image is an unread JPEG file."""
    width, height = image.size
    for scale in (8, 4, 2):
        # Other sizes are rounded up, which would stretch the image by a part of a pixel.
        if min(width, height) >= scale * side and width % scale == height % scale == 0:
            image.draft(None, (width // scale, height // scale))
            return


def check_not_single(item: Any) -> None:
    """Refuse one bare image where a sequence of images is expected."""
    if isinstance(item, str | bytes | os.PathLike | Image.Image):
        way_out = "pass [X] for one image"
        if not isinstance(item, Image.Image) and os.path.isdir(item):
            way_out = (
                "it is a folder: pass the paths of skneg.datasets.load_image_folder(X), or list_images(X)"
            )
        raise InputError(f"X is a single {type(item).__name__}, expected a sequence of images; {way_out}.")
