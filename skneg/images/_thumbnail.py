"""Small pictures of images, for pages."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from PIL import Image

from ..errors import ImageError


def thumbnail(image: Any, size: int = 96) -> str:
    """A JPEG picture as a ``data:`` address, which a page holds in itself; "" for what is no image.

    Parameters
    ----------
    image : Pillow image
        Left as it is. A tensor that was preprocessed has no picture.
    size : int, default=96
        Largest side in pixels.
    """
    if not isinstance(image, Image.Image):
        return ""
    small = image.convert("RGB")
    small.thumbnail((size, size))
    file = BytesIO()
    small.save(file, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def picture_of(images: Sequence | None, row: int, size: int) -> str:
    """The `thumbnail` of an image of X; "" where X has no images, or its file is gone since."""
    try:
        return "" if images is None else thumbnail(images[row], size)
    except ImageError:
        return ""
