import io
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from skneg.errors import ImageError, InputWarning
from skneg.images import decode_image
from skneg.images._decode import FORMATS, read_image

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (24, 32, 3), dtype=np.uint8)


def encoded(image=None, fmt="PNG", **options) -> bytes:
    buffer = io.BytesIO()
    (Image.fromarray(PIXELS) if image is None else image).save(buffer, fmt, **options)
    return buffer.getvalue()


def test_path_bytes_pil_and_array_are_one_image(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded())
    cell = {"bytes": encoded(), "path": "gone.png"}
    for item in (path, str(path), encoded(), Image.open(path), PIXELS, cell, {"bytes": None, "path": path}):
        np.testing.assert_array_equal(np.asarray(decode_image(item)), PIXELS)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation):
    upright = Image.fromarray(PIXELS)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # PIL.Image.Transpose that a camera would apply
    turned = upright if orientation == 1 else upright.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode_image(encoded(turned, "PNG", exif=exif))
    np.testing.assert_array_equal(np.asarray(image), PIXELS)


def with_tag(orientation, turned=None) -> Image.Image:
    """As a user opens a photograph."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return Image.open(io.BytesIO(encoded(turned, "JPEG", exif=exif)))


def test_a_tag_on_what_is_no_file_any_more_is_named():
    # https://github.com/python-pillow/Pillow/issues/4537: the tag stays when a user turns the image.
    opened = with_tag(6)
    upright = decode_image(opened)  # still a file's
    assert upright.size == (24, 32)
    for image in (opened.convert("RGB"), opened.resize((64, 48)), opened.crop((0, 0, 32, 24)), opened.copy()):
        with pytest.warns(InputWarning, match=r"row 7; .*exif_transpose") as caught:
            assert decode_image(image, 7).size[0] < decode_image(image, 7).size[1]
        assert caught[0].filename == __file__
    with pytest.warns(InputWarning, match="They are turned"):
        assert decode_image(opened.transpose(Image.Transpose.ROTATE_270)).size == (32, 24)


def test_the_ways_out_of_a_tag_that_stays_work():
    turned = with_tag(6).transpose(Image.Transpose.ROTATE_270)
    del turned.getexif()[0x112]
    assert decode_image(turned).size == (24, 32)
    assert decode_image(ImageOps.exif_transpose(with_tag(6))).size == (24, 32)


@given(orientation=st.integers(0, 10), change=st.sampled_from(["copy", "convert", "resize", "rotate"]))
def test_only_a_turn_that_is_due_is_named(orientation, change):
    image = getattr(with_tag(orientation), change)(
        *{"convert": ["L"], "resize": [(9, 9)], "rotate": [90]}.get(change, [])
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        decode_image(image)
    assert len(caught) == (2 <= orientation <= 8 and "exif" in image.info)


def test_transparent_pixels_become_white_not_their_hidden_colour():
    rgba = np.zeros((8, 8, 4), dtype=np.uint8)
    rgba[:, :, 0] = 200
    assert (np.asarray(decode_image(rgba)) == 255).all()
    palette = Image.new("P", (8, 8), 0)
    assert (np.asarray(decode_image(encoded(palette, transparency=0))) == 255).all()


def test_sixteen_bit_values_are_scaled_not_clipped():
    deep = Image.fromarray(np.full((8, 8), 30000, dtype=np.uint16))
    assert (np.asarray(decode_image(encoded(deep))) == 30000 >> 8).all()


def test_grey_and_cmyk_become_rgb():
    for mode in ("L", "1", "CMYK", "P"):
        assert decode_image(Image.new(mode, (8, 8))).mode == "RGB"


def faults() -> dict[str, object]:
    png, jpeg = encoded(), encoded(fmt="JPEG")
    flipped = bytearray(png)
    flipped[len(flipped) // 2] ^= 0xFF
    return {
        "empty": b"",
        "text": b"not an image at all",
        "html": b"<!DOCTYPE html><html></html>",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "truncated png": png[: len(png) // 2],
        "truncated jpeg": jpeg[: len(jpeg) // 2],
        "header only": png[:30],
        "flipped png": bytes(flipped),
        "signature only": png[:8],
        "gif header": b"GIF89a",
        "broken bmp": b"BM" + bytes(40),
        "broken tiff": b"II*\x00" + bytes(8),
        "broken webp": b"RIFF\x10\x00\x00\x00WEBPVP8 " + bytes(6),
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n",
        "float mode": encoded(Image.new("F", (8, 8)), "TIFF"),
        "integer mode": encoded(Image.new("I", (8, 8)), "TIFF"),
        "icon (a format not taken)": encoded(Image.new("RGB", (16, 16)), "ICO"),
    }


@pytest.mark.parametrize("fault", faults())
@pytest.mark.parametrize("as_path", [False, True])
def test_faulty_files_give_one_typed_error_with_their_index(fault, as_path, tmp_path):
    item: object = faults()[fault]
    if as_path:
        path = tmp_path / "fault.img"
        path.write_bytes(item)
        item = path
    with pytest.raises(ImageError, match="image 7 ") as caught:
        decode_image(item, 7)
    assert caught.value.index == 7
    if as_path:
        assert "fault.img" in str(caught.value)


def test_an_avif_file_that_is_recognised_and_cannot_be_decoded():
    whole, refused = encoded(fmt="AVIF"), 0
    for n_lost in range(20, len(whole), 20):
        try:
            decode_image(whole[:-n_lost] + bytes(n_lost))
        except ImageError:  # for which Pillow has a RuntimeError of its own
            refused += 1
    assert refused > 5


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("nowhere.png", "does not exist"),
        (".", "cannot be read"),
        ("https://example.org/a.png", "URL"),
        (None, "NoneType"),
        (PIXELS.astype(float), "uint8"),
        (PIXELS[:, :, :2], "shape"),
        (PIXELS[:0], "shape"),
        (np.zeros((2, 3, 4, 5), np.uint8), "shape"),
        (PIXELS.transpose(2, 0, 1), r"transpose\(1, 2, 0\)"),
        (PIXELS / 255, r"\(X \* 255\)\.astype\('uint8'\)"),
        (PIXELS.astype(np.uint16), "X >> 8"),
        (PIXELS > 99, r"X\.astype\('uint8'\) \* 255"),
        (".", "list_images"),
        ("~/nowhere.png", "expanduser"),
        (b"/photos/nowhere.jpg", "os.fsdecode"),
        (np.zeros(3, np.float32), "numpy.stack"),
    ],
)
def test_items_that_are_no_image_are_named(item, message):
    with pytest.raises(ImageError, match=message) as caught:
        decode_image(item, 3)
    assert caught.value.index == 3


def test_overlarge_image_is_refused_before_it_is_decoded():
    header = bytearray(encoded(Image.new("1", (3000, 3000))))
    with pytest.raises(ImageError, match=r"3000 x 3000 pixels, more than max_pixels = 8999999:.*Encoder"):
        decode_image(bytes(header[:200]), max_pixels=3000**2 - 1)  # its pixels are not even there


def test_image_errors_survive_pickling():
    import pickle

    error = pickle.loads(pickle.dumps(ImageError("image 4 is bad", 4)))
    assert (str(error), error.index) == ("image 4 is bad", 4)


def test_strips_are_refused_before_they_fill_the_memory():
    with pytest.raises(ImageError, match="60000 x 1"):
        decode_image(encoded(Image.new("L", (60000, 1))))


def test_damaged_metadata_does_not_cost_the_image(monkeypatch):
    def broken(image):
        raise TypeError("bad operand type for abs(): 'str'")  # what Pillow raises on some EXIF blocks

    monkeypatch.setattr("PIL.ImageOps.exif_transpose", broken)
    assert decode_image(with_tag(6)).size == PIXELS.shape[1::-1]
    monkeypatch.setattr("PIL.Image.Image.getexif", broken)
    assert decode_image(encoded(fmt="JPEG")).mode == "RGB"


def test_premultiplied_grey_is_taken():
    assert decode_image(Image.new("La", (8, 8))).mode == "RGB"


def test_what_is_decoded_is_no_image_of_the_user_s():
    image = Image.fromarray(PIXELS)
    decode_image(image).putpixel((0, 0), (1, 2, 3))
    np.testing.assert_array_equal(np.asarray(image), PIXELS)
    lazy = Image.open(io.BytesIO(encoded(Image.new("RGB", (8, 8)), transparency=(0, 0, 0))))
    assert decode_image(lazy).getpixel((0, 0)) == (255, 255, 255)
    assert lazy.mode == "RGB"
    assert lazy.info["transparency"] == (0, 0, 0)


@pytest.mark.parametrize("fmt", FORMATS)
def test_an_image_outlives_its_file(fmt, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(encoded(Image.new("RGB", (16, 8), "red"), fmt))
    image = decode_image(path)
    path.unlink()
    assert image.resize((4, 2)).getpixel((0, 0))[0] > 250
    assert image.copy().convert("L").size == (16, 8)


def smooth(width=160, height=96) -> Image.Image:
    """A photograph's kind of picture: nothing changes within a pixel or two."""
    small = RNG.integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def turned(orientation) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(smooth(), "JPEG", quality=95, exif=exif)


JPEGS = {
    "plain": encoded(smooth(), "JPEG", quality=95),
    "no subsampling": encoded(smooth(), "JPEG", quality=95, subsampling=0),
    "progressive": encoded(smooth(), "JPEG", quality=95, progressive=True),
    "grey": encoded(smooth().convert("L"), "JPEG", quality=95),
    "CMYK": encoded(smooth().convert("CMYK"), "JPEG", quality=95),
    "MPO": encoded(smooth(), "MPO", quality=95, save_all=True, append_images=[smooth()]),
    **{f"orientation {number}": turned(number) for number in (2, 3, 6, 8)},
}


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("as_path", [False, True])
def test_jpeg_files_come_smaller_where_a_side_is_told(kind, as_path, tmp_path):
    item: object = JPEGS[kind]
    if as_path:
        item = tmp_path / "a.jpg"
        item.write_bytes(JPEGS[kind])
    full = decode_image(item)
    assert sorted(full.size) == [96, 160]
    for side, scale in ((97, 1), (96, 1), (49, 1), (48, 2), (25, 2), (24, 4), (13, 4), (12, 8), (1, 8)):
        image = read_image(item, 0, side)
        assert image.size == (full.size[0] // scale, full.size[1] // scale)
        # Turned alike, with the same colours.
        difference = np.asarray(image, int) - np.asarray(full.resize(image.size, Image.Resampling.BOX), int)
        assert np.abs(difference).mean() < 6


@pytest.mark.parametrize(("size", "scale"), [((160, 96), 8), ((164, 96), 4), ((162, 98), 2), ((161, 96), 1)])
def test_sides_that_do_not_divide_are_not_rounded(size, scale):
    data = encoded(Image.new("RGB", size), "JPEG")
    assert read_image(data, 0, 4).size == (size[0] // scale, size[1] // scale)


def test_no_other_format_and_no_image_of_the_user_s_comes_smaller():
    for fmt in set(FORMATS) - {"JPEG"}:
        assert read_image(encoded(smooth(), fmt), 0, 4).size == (160, 96)
    opened = Image.open(io.BytesIO(JPEGS["plain"]))
    assert read_image(opened, 0, 4).size == opened.size == (160, 96)


@pytest.mark.parametrize("kind", JPEGS)
def test_faulty_jpeg_files_are_refused_alike_whatever_size_is_wanted(kind):
    data = JPEGS[kind]
    cut = 0.4 if kind == "MPO" else 0.6  # of two pictures, the second is not read
    for broken in (data[: int(len(data) * cut)], data[:40], b"\xff\xd8\xff" + data[200:]):
        messages = []
        for side in (None, 12, 48):
            with pytest.raises(ImageError) as caught:
                read_image(broken, 3, side)
            messages.append(str(caught.value))
        assert len(set(messages)) == 1


def test_limits_are_those_of_the_whole_image():
    with pytest.raises(ImageError, match="160 x 96 pixels, more than"):
        read_image(JPEGS["plain"], 0, 12, max_pixels=160 * 96 - 1)
    assert read_image(JPEGS["plain"], 0, 12, max_pixels=160 * 96).size == (20, 12)
