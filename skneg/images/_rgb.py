"""An opened image to RGB: values of other depth, transparency, orientation."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps

from ..errors import ImageError

# Pixels that use less than this share of 16 bits are taken for fewer bits, at most 14, in the place of 16.
_DIM = 1 / 4

_BITS_PER_SAMPLE, _PHOTOMETRIC, _MAX_SAMPLES = 258, 262, (341, 281)  # tags of TIFF
_WHITE_IS_ZERO = 0


def turn_that_is_due(image: Image.Image) -> int:
    """The EXIF orientation that an image says it still has to be turned by; 1 for none."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged metadata of any kind, beside sound pixels
        return 1
    return orientation if orientation in range(2, 9) else 1


def to_rgb(image: Image.Image, who: str, index: int) -> Image.Image:
    """An image upright, its own range of values as 0..255, transparency laid on white; itself if it is so.

    Raises
    ------
    ImageError
        If the range is not known, or its values seem to use a small part of it.
    """
    sample, bits = _sample_of_file(image)  # `load` forgets it
    zero = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC)
    image.load()  # truncated files fail here, not when they are opened
    is_ppm = image.format == "PPM"
    image = _upright(image)
    key = image.info.get("transparency")
    if image.mode.startswith("I;16") or (image.mode == "I" and is_ppm):
        pixels = np.asarray(image).astype(np.uint16)
        if zero == _WHITE_IS_ZERO:  # Pillow minds it for 8 bits only
            pixels = 2 ** (bits or 16) - 1 - pixels
        image = Image.fromarray(_eight_bits(pixels, bits, who, index))
        if key is not None:
            image.putalpha(Image.fromarray(np.where(pixels == key, 0, 255).astype(np.uint8)))
    elif image.mode in ("I", "F"):
        raise ImageError(
            f"{who} has mode {image.mode!r}, whose range of values is not known: scale it to 0..255, as "
            "Image.fromarray((np.asarray(image) * 255).astype('uint8')) does from 0..1.",
            index,
        )
    elif ";16" in sample:
        _check_not_dim(
            _largest(image) << 8 | 255, who, "Read it by another library, and pass uint8 arrays", index
        )
        if isinstance(key, tuple):
            image = _with_key(image, tuple(value >> 8 for value in key))
    elif sample in ("L;2", "L;4") and isinstance(key, int):
        # Pillow stretches the pixels to 0..255, and leaves this value as it is.
        image = _with_key(image, key * (85 if sample == "L;2" else 17))
    if image.has_transparency_data:
        # Dropping alpha would show whatever colour lies hidden under transparent pixels.
        image = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        ground = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(ground, image)
    # `convert` and `exif_transpose` copy always, which takes as long as decoding: 0.03 s each for 12 million
    # pixels.
    return image if image.mode == "RGB" else image.convert("RGB")


def _with_key(image: Image.Image, key: Any) -> Image.Image:
    """A copy of an image, with the value that stands for transparent pixels."""
    image = image.copy()
    image.info["transparency"] = key
    return image


def _sample_of_file(image: Image.Image) -> tuple[str, int | None]:
    """How samples lie in the file, by Pillow's name, and the bits that they use where it says so."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0].args if tiles else ""
    sample = str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)
    if image.format == "PPM":  # Pillow spreads them, whatever the largest value
        return sample, 16 if isinstance(arguments, tuple) else None
    tags: Any = getattr(image, "tag_v2", {})
    bits = int(np.max(tags.get(_BITS_PER_SAMPLE, 16)))
    largest = next((int(np.max(tags[tag])) for tag in _MAX_SAMPLES if tag in tags), 0)
    if bits == 16:
        bits = largest.bit_length()
    return sample if image.format in ("PNG", "TIFF") else "", bits if 8 <= bits < 16 else None


def _eight_bits(pixels: np.ndarray, bits: int | None, who: str, index: int) -> np.ndarray:
    largest = int(pixels.max())
    if bits is None or largest >= 2**bits:
        part = 8 if largest < 2**8 else 12 if largest < 2**12 else 14
        scaled = f"(np.asarray(image) * (255 / {2**part - 1})).astype('uint8')"
        way_out = f"Scale {part}-bit values with Image.fromarray({scaled})"
        _check_not_dim(largest, who, way_out, index)
        bits = 16
    return (pixels >> (bits - 8)).astype(np.uint8)


def _largest(image: Image.Image) -> int:
    bands = image.split()[: -1 if image.has_transparency_data and len(image.getbands()) in (2, 4) else None]
    return max(int(band.getextrema()[1]) for band in bands)  # type: ignore[arg-type]


def _check_not_dim(largest: int, who: str, way_out: str, index: int) -> None:
    if 0 < largest < _DIM * 2**16:
        raise ImageError(
            f"{who} has 16-bit pixels that use less than a quarter of the range (none exceeds {largest} "
            f"of 65535), so it would come out dark or black: they may be of 14, 12 or fewer bits. "
            f"{way_out}, all images alike.",
            index,
        )


def _upright(image: Image.Image) -> Image.Image:
    if turn_that_is_due(image) == 1:
        return image
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged metadata of any kind, beside sound pixels
        return image
