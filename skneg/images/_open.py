"""`PIL.Image.open` without its warning of large images, which depends on filters that all threads share."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError


@contextmanager
def opened(source: str | bytes | os.PathLike | BinaryIO, formats: Sequence[str]) -> Iterator[Image.Image]:
    """Within this context, an image of a file, of which only the beginning is read.

    Above ``PIL.Image.MAX_IMAGE_PIXELS`` Pillow would warn; above twice that it is refused as by Pillow.

    Parameters
    ----------
    source : str, bytes, os.PathLike or binary file
        A file that is given stays open.
    formats : sequence of str
        Pillow's names of the formats that are tried, in this order.

    Raises
    ------
    UnidentifiedImageError
        If it is of none of the formats.
    DecompressionBombError
        If it has too many pixels.
    OSError
        If it cannot be read, and what Pillow's readers raise besides.
    """
    if isinstance(source, str | bytes | os.PathLike):
        with open(source, "rb") as file, _identified(file, formats) as image:
            yield image
    else:
        with _identified(source, formats) as image:
            yield image


def _identified(file: BinaryIO, formats: Sequence[str]) -> Image.Image:
    Image.init()
    beginning = file.read(16)
    for name in formats:
        if name not in Image.OPEN:  # Pillow was built without it
            continue
        read, accepts = Image.OPEN[name]
        if accepts is not None and accepts(beginning) is not True:
            continue
        file.seek(0)
        try:
            return _not_too_large(read(file, ""))
        except (SyntaxError, IndexError, TypeError, struct.error):  # as in Pillow: another may read it
            continue
    raise UnidentifiedImageError(f"cannot identify image file {getattr(file, 'name', file)!r}")


def _not_too_large(image: Image.Image) -> Image.Image:
    pixels, limit = image.width * image.height, Image.MAX_IMAGE_PIXELS
    if limit is not None and pixels > 2 * limit:
        raise Image.DecompressionBombError(f"{pixels} pixels are more than twice MAX_IMAGE_PIXELS = {limit}")
    return image
