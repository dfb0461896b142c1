"""Values of other depth, transparency, orientation: right, or named."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from skneg.errors import ImageError
from skneg.images import decode_image

RAMP = np.arange(256, dtype=np.uint16).reshape(16, 16)
GREYS = np.asarray(Image.fromarray(RAMP.astype(np.uint8)).convert("RGB"))


def encoded(image, fmt="PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


def png(colour: int, depth: int, size: tuple[int, int], data: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG by hand: Pillow writes few depths."""

    def chunk(name, content):
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    rows = np.frombuffer(data, np.uint8).reshape(size[1], -1)
    lines = np.pad(rows, ((0, 0), (1, 0))).tobytes()  # each with filter 0
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def tiff(values: np.ndarray, bits: int = 16, **tags: int) -> bytes:
    """A grey TIFF by hand, with tags by number."""
    found = {256: values.shape[1], 257: values.shape[0], 258: bits, 259: 1, 262: 1, 273: 0, 277: 1, 278: 16}
    found.update({int(name[1:]): value for name, value in tags.items()})
    data = values.astype("<u2").tobytes()
    if bits == 12:
        first, second = values.ravel()[::2], values.ravel()[1::2]
        packed = [first >> 4, (first & 15) << 4 | second >> 8, second & 255]
        data = np.stack(packed, 1).astype(np.uint8).tobytes()
    found[279], found[273] = len(data), 8 + 2 + 12 * 10 + 4 + 12 * (len(found) - 9)
    entries = [(tag, 4, 1, value) for tag, value in sorted(found.items())]
    head = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    assert len(head + body) <= found[273]
    return (head + body).ljust(found[273], b"\0") + data


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("fmt", ["PNG", "TIFF", None])
def test_fewer_bits_in_sixteen_are_refused_with_the_line_to_write(bits, fmt):
    # As https://github.com/python-pillow/Pillow/issues/5991, where most of a 16-bit image is lost.
    deep = Image.fromarray(RAMP << (bits - 8))
    with pytest.raises(ImageError, match="image 3 .*16-bit pixels") as caught:
        decode_image(deep if fmt is None else encoded(deep, fmt), 3)
    line = str(caught.value).split(" with ")[1].split(", all")[0]
    if bits > 10:  # what 10 bits are cannot be told from dark 12 bits
        scaled = eval(line, {"Image": Image, "np": np, "image": deep})  # the advice works
        np.testing.assert_allclose(np.asarray(decode_image(scaled)), GREYS, atol=1)


def test_colours_of_fewer_bits_are_refused():
    # https://github.com/python-pillow/Pillow/issues/4073: Pillow reads their high bytes, without a word.
    pixels = np.repeat((RAMP << 4)[..., None], 3, axis=2)
    opaque = np.concatenate([pixels, np.full((16, 16, 1), 65535)], axis=2)
    for colour, values in ((2, pixels), (6, opaque), (4, opaque[..., 2:]), (2, pixels >> 4)):
        with pytest.raises(ImageError, match="16-bit pixels"):
            decode_image(png(colour, 16, (16, 16), values.astype(">u2").tobytes()))
    full = np.asarray(decode_image(png(2, 16, (16, 16), (pixels << 4).astype(">u2").tobytes())))
    np.testing.assert_array_equal(full, GREYS)


def test_the_range_that_a_file_names_is_taken():
    twelve = RAMP << 4
    files = [
        tiff(twelve, bits=12),
        tiff(twelve, t281=4095),  # MaxSampleValue
        tiff(twelve, t341=4095),  # SMaxSampleValue
        tiff(RAMP << 8),
        tiff(65535 - (RAMP << 8), t262=0),  # white is zero
        b"P5 16 16 4095\n" + twelve.astype(">u2").tobytes(),
        b"P5 16 16 65535\n" + (RAMP << 8).astype(">u2").tobytes(),
    ]
    for file in files:
        np.testing.assert_allclose(np.asarray(decode_image(file)), GREYS, atol=1)
    with pytest.raises(ImageError, match="16-bit pixels"):
        decode_image(b"P5 16 16 65535\n" + twelve.astype(">u2").tobytes())
    wrong = tiff(RAMP << 8, t281=255)  # the file contradicts itself
    np.testing.assert_array_equal(np.asarray(decode_image(wrong)), GREYS)


@given(bits=st.integers(8, 16), data=st.data())
def test_grey_values_of_any_depth_come_out_right_or_are_refused(bits, data):
    values = data.draw(st.lists(st.integers(0, 2**bits - 1), min_size=16, max_size=16))
    deep = Image.fromarray(np.array(values, np.uint16).reshape(4, 4))
    try:
        grey = np.asarray(decode_image(deep))[..., 0]
    except ImageError:
        assert 0 < max(values) < 2**14
    else:
        assert max(values) in (0, *range(2**14, 2**16))
        np.testing.assert_array_equal(grey.ravel(), np.array(values) >> 8)


@pytest.mark.parametrize("mode", ["I", "F"])
@pytest.mark.parametrize("fmt", ["TIFF", None])
def test_values_without_a_known_range_are_refused_by_mode(mode, fmt):
    image = Image.new(mode, (8, 8), 1)
    with pytest.raises(ImageError, match=rf"mode '{mode}'.*Image\.fromarray"):
        decode_image(image if fmt is None else encoded(image, fmt))


TRANSPARENT = [
    Image.new("LA", (4, 4), (9, 0)),
    Image.new("PA", (4, 4), (0, 0)),
    Image.new("RGBA", (4, 4), (200, 0, 0, 0)),
    Image.new("RGBa", (4, 4), (0, 0, 0, 0)),
    Image.new("La", (4, 4), (0, 0)),
]
PALETTE = Image.new("P", (4, 4), 0)
PALETTE.putpalette([200, 0, 0, 0], "RGBA")


@pytest.mark.parametrize("image", [*TRANSPARENT, PALETTE], ids=lambda image: image.mode)
def test_transparency_is_white_in_memory_and_from_files(image):
    assert (np.asarray(decode_image(image)) == 255).all()
    for fmt in ("PNG", "TIFF", "WEBP"):
        try:
            data = encoded(image, fmt, **({"lossless": True, "exact": True} if fmt == "WEBP" else {}))
        except (OSError, ValueError):
            continue  # a mode that the format does not have
        if Image.open(io.BytesIO(data)).has_transparency_data:
            assert (np.asarray(decode_image(data)) == 255).all(), fmt


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_grey_of_any_depth_is_white(depth):
    # https://github.com/python-pillow/Pillow/issues/154: for grey images it was ignored.
    dark, white = (np.full(16 * depth // 8, byte, np.uint8).tobytes() for byte in (0, 255))
    file = png(0, depth, (16, 2), dark + white, (b"tRNS", struct.pack(">H", 0)))
    assert (np.asarray(decode_image(file)) == 255).all()
    assert (np.asarray(decode_image(Image.open(io.BytesIO(file)))) == 255).all()
    pale = png(0, depth, (16, 2), dark + white, (b"tRNS", struct.pack(">H", 2**depth - 1)))
    assert (np.asarray(decode_image(pale))[0] == 0).all()
    if 1 < depth < 8:  # a grey between, which Pillow stretches
        grey = png(
            0,
            depth,
            (8 // depth, 1),
            bytes([0b01010101]),
            (b"tRNS", struct.pack(">H", 1 if depth == 2 else 5)),
        )
        assert (np.asarray(decode_image(grey)) == 255).all()


def test_a_transparent_colour_of_sixteen_bits_is_white():
    row = np.array([[1000, 2000, 3000], [40000, 50000, 60000]], ">u2")
    file = png(2, 16, (2, 1), row.tobytes(), (b"tRNS", row[0].tobytes()))
    assert np.asarray(decode_image(file)).tolist() == [[[255] * 3, (row[1] >> 8).tolist()]]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"])
def test_other_modes_show_their_colours(mode):
    grey = Image.fromarray(RAMP.astype(np.uint8))
    rgb = grey.convert("RGB")
    if mode == "LAB":
        from PIL import ImageCms

        lab = ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(rgb, ImageCms.createProfile("sRGB"), lab, outputMode="LAB")
    else:
        image = (grey if mode in ("1", "L", "P") else rgb).convert(mode)
    wanted = np.asarray(image.convert("L"))[..., None] if mode == "1" else GREYS
    for item in (image, encoded(image, "TIFF") if mode in ("CMYK", "LAB", "YCbCr", "P") else image):
        np.testing.assert_allclose(np.asarray(decode_image(item)).astype(int), wanted + 0 * GREYS, atol=2)
