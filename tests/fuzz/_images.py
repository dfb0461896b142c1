"""Image files of all formats that are read, with variants that take other ways through Pillow's decoders."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from skneg.datasets import make_scenes
from skneg.errors import ImageError
from skneg.images import decode_image
from skneg.images._decode import FORMATS, MAX_ASPECT, read_image

from .._forked import RIGHT
from ._bytes import damaged
from ._target import Target, one_of

# Pixels at most: so that a megabyte more than the limit of memory is not what the image itself takes.
_MAX_PIXELS = 2**20


def targets(whole):
    files = _files()
    return [Target(f"{name} images", _maker(name, files), _read) for name in FORMATS]


def _maker(name, files):
    others = [data for of_format in files.values() for data in of_format]

    def make(rng):
        data = damaged(one_of(files[name], rng), rng, files[name] if rng.random() < 0.8 else others)
        return _with_sums(data) if name == "PNG" and rng.random() < 0.7 else data

    return make


def _files():
    """Small files by format."""
    scene = Image.fromarray(make_scenes(1, random_state=0)[0][0]).resize((40, 32))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    deep = Image.fromarray(np.asarray(scene.convert("L")).astype(np.uint16) * 257)
    frames = {"save_all": True, "append_images": [scene.rotate(90), scene.convert("L")]}
    grey, palette, alpha = scene.convert("L"), scene.quantize(16), scene.convert("RGBA")
    alpha.putalpha(grey)
    variants = {
        "AVIF": [(scene, {"quality": 50}), (alpha, {"exif": exif})],
        "BMP": [(scene, {}), (palette, {}), (scene.convert("1"), {}), (alpha, {})],
        "GIF": [(palette, {}), (palette, {"transparency": 3, "interlace": 0}), (palette, frames)],
        "JPEG": [
            (scene, {}), (scene, {"progressive": True, "exif": exif}), (grey, {}),
            (scene.convert("CMYK"), {}),
            (scene, {"subsampling": 0, "icc_profile": b"x" * 99, "comment": b"c"}),
        ],
        "PNG": [
            (scene, {"exif": exif}), (palette, {"transparency": 2, "bits": 4}), (alpha, {"dpi": (9, 9)}),
            (deep, {}), (grey, {"transparency": 7, "icc_profile": b"x" * 99}),
            (scene.convert("1"), {}), (scene, frames),
        ],
        "PPM": [(scene, {}), (grey, {}), (scene.convert("1"), {}), (deep, {})],
        "TIFF": [
            (scene, {"exif": exif}), (deep, {}), (scene.convert("CMYK"), {}), (alpha, frames), (palette, {}),
            *((scene, {"compression": name}) for name in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg")),
            (scene.convert("1"), {"compression": "group4"}),
            (deep, {"compression": "tiff_lzw", "big_tiff": True}),
        ],
        "WEBP": [(scene, {"exif": exif}), (alpha, {"lossless": True}), (alpha, frames)],
    }  # fmt: skip
    plain = b"P3 4 2 15\n" + b" ".join(b"%d" % (i % 16) for i in range(24))
    files = {
        name: [_saved(image, name, options) for image, options in kinds] for name, kinds in variants.items()
    }
    return files | {"PPM": [*files["PPM"], plain, b"P1 4 2\n" + b"01" * 4]}


def _saved(image, name, options):
    file = io.BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


def _with_sums(data):
    """A PNG whose checksums are right as far as its chunks can be found, so that they hide no decoder."""
    data, start = bytearray(data), 8
    while start + 12 <= len(data):
        stop = start + 8 + int.from_bytes(data[start : start + 4], "big")
        data[stop : stop + 4] = struct.pack(">I", zlib.crc32(data[start + 4 : stop]))
        start = stop + 4
    return bytes(data)


def _read(data, folder):
    """By whichever way it comes, it is the same image or refused."""
    path = folder / "an image"
    path.write_bytes(data)
    assert _outcome(path) == _outcome(data)
    small = read_image(data, 0, 8, _MAX_PIXELS)
    image = decode_image(data, max_pixels=_MAX_PIXELS)
    for one in (small, image):
        width, height = one.size
        assert one.mode == "RGB"
        assert 0 < width * height <= _MAX_PIXELS
        assert max(width, height) <= MAX_ASPECT * min(width, height)
        assert len(one.tobytes()) == 3 * width * height
    return RIGHT


def _outcome(item):
    try:
        image = decode_image(item, max_pixels=_MAX_PIXELS)
    except ImageError:
        return None
    return image.size, image.tobytes()
