"""`PIL.Image.open` without its warning of large images, which depends on filters that all threads share."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError


def opened(file: BinaryIO, formats: Sequence[str]) -> Image.Image:
    """The image of a file, of which only the beginning is read; the file stays open.

    Above ``PIL.Image.MAX_IMAGE_PIXELS`` Pillow would warn; above twice that it is refused as by Pillow.

    Parameters
    ----------
    file : binary file
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
