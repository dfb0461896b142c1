"""Small files that would fill the memory or never end, in a process whose memory is measured."""

import io
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image

from skneg.errors import ImageError
from skneg.images import MAX_PIXELS, _decode, as_image_sequence, decode_image, unreadable

MARGIN = 150  # MB; none of the files below has more than 20
CHILD = """
import json, sys, time, warnings
from pathlib import Path
from skneg.errors import ImageError
from skneg.images import decode_image

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

warnings.simplefilter("ignore")  # of Pillow, between one and two times its limit
decode_image(Path(sys.argv[1]) / "sound")
for file in sorted(Path(sys.argv[1]).iterdir()):
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is in use
    before, began = peak(), time.monotonic()
    try:
        told = f"read {decode_image(file).size}"
    except ImageError as error:
        told = f"refused {error}"
    print(json.dumps([file.name, (peak() - before) / 1024, time.monotonic() - began, told]))
"""


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *more, depth=1, colour=0, rows=None):
    """A black image, or some of its rows, compressed a thousand times, after other chunks."""
    row = bytes((width * depth * {0: 1, 6: 4}[colour] + 7) // 8 + 1)
    packer = zlib.compressobj(9)
    pixels = b"".join(packer.compress(row) for _ in range(rows or height)) + packer.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def tiff(*more, data=b""):
    """64 x 64 pixels, with other tags (tag, type, count, value); data begins at byte 4104."""
    tags = {256: (4, 1, 64), 257: (4, 1, 64), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1)}
    tags |= {273: (4, 1, 8), 277: (3, 1, 1), 278: (4, 1, 64), 279: (4, 1, 4096)}
    tags |= {tag: rest for tag, *rest in more}
    pixels = bytes(4096) + data
    entries = b"".join(struct.pack("<HHII", tag, *rest) for tag, rest in sorted(tags.items()))
    head = b"II*\0" + struct.pack("<I", 8 + len(pixels))
    return head + pixels + struct.pack("<H", len(tags)) + entries + bytes(4)


def saved(fmt, size=(64, 64), **options):
    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, fmt, **options)
    return file.getvalue()


def with_sides(data, place, layout, *sides):
    return data[:place] + struct.pack(layout, *sides) + data[place + struct.calcsize(layout) :]


def bombs():
    jpeg, gif = saved("JPEG"), saved("GIF")
    long = 4 * 10**6
    shared = tiff(*((tag, 1, long, 8) for tag in range(1000, 3000)), data=bytes(long))  # 8 GB in 4 MB
    parts = (b"Exif\0\0" + shared[start : start + 65000] for start in range(0, len(shared), 65000))
    exif = b"".join(b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part for part in parts)
    frames = [Image.new("RGB", (1500, 1500), (k, 0, 0)) for k in range(1, 25)]  # 220 MB
    deflated = zlib.compress(bytes(2 * 10**7), 9)
    return {
        "png": png(30000, 30000),
        "png of 180 MP": png(13400, 13400, rows=9),
        "png of 180 MP, 16 bits, alpha": png(13400, 13400, depth=8, colour=6, rows=9),
        "gif screen": with_sides(gif, 6, "<HH", 65535, 65535),
        "gif frame": with_sides(gif, gif.index(b"\x2c") + 5, "<HH", 65535, 65535),
        "jpeg": with_sides(jpeg, jpeg.index(b"\xff\xc0") + 5, ">HH", 65500, 65500),
        "bmp": with_sides(saved("BMP"), 18, "<ii", 60000, 60000),
        "ppm": b"P6 60000 60000 255\n" + bytes(100),
        # Sides less 1, in 14 bits each.
        "webp": with_sides(saved("WEBP", lossless=True), 21, "<I", 16000 - 1 | (11250 - 1) << 14),
        "tiff sides": tiff((256, 4, 1, 60000), (257, 4, 1, 60000)),
        "tiff count": tiff((700, 1, 2**31, 8)),
        "tiff tags": shared,
        "tiff strips": tiff((273, 4, 10**6, 8), (279, 4, 10**6, 8), data=bytes(long)),
        "tiff tile": tiff((322, 4, 1, 60000), (323, 4, 1, 60000), (324, 4, 1, 8), (325, 4, 1, 4096)),
        "tiff packed tile": tiff(
            (322, 4, 1, 60000), (323, 4, 1, 60000), (324, 4, 1, 8), (325, 4, 1, 4096), (259, 3, 1, 8)
        ),
        "tiff samples": tiff((277, 3, 1, 65535)),
        "jpeg exif": jpeg[:2] + exif + jpeg[2:],
        "png exif": png(64, 64, chunk(b"eXIf", shared)),
        "png text": png(64, 64, *(chunk(b"zTXt", b"a\0\0" + deflated) for _ in range(20))),
        "png profile": png(64, 64, chunk(b"iCCP", b"a\0\0" + deflated)),
        **{
            f"frames of {fmt}": saved(fmt, (1500, 1500), save_all=True, append_images=frames)
            for fmt in ("GIF", "PNG", "WEBP")
        },
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bombs")
    (folder / "sound").write_bytes(saved("PNG"))
    (folder / "large").write_bytes(png(9400, 9400))  # 88 million pixels, which are decoded
    for name, data in bombs().items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured as Linux tells it")
def test_small_files_take_little_memory_and_time(folder):
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder)], capture_output=True, text=True, timeout=300, check=True
    )
    measured = {name: rest for name, *rest in map(json.loads, done.stdout.splitlines())}
    assert set(measured) == {"sound", "large", *bombs()}
    megabytes, _, told = measured.pop("large")
    assert megabytes > MARGIN, "memory is not measured"
    assert told == "read (9400, 9400)"
    for name, (megabytes, seconds, told) in measured.items():
        assert megabytes < MARGIN, (name, told)
        assert seconds < 30, (name, told)
    refused = {name for name, (*_, told) in measured.items() if told.startswith("refused")}
    sides = {"png", "png of 180 MP", "gif screen", "gif frame", "jpeg", "bmp", "ppm", "webp", "tiff sides"}
    assert sides <= refused
    # Of many frames the first is read; metadata is left out or refused.
    assert all(measured[f"frames of {fmt}"][2] == "read (1500, 1500)" for fmt in ("GIF", "PNG", "WEBP"))


def test_pillow_s_own_limit_is_left_as_it_is(folder):
    before = Image.MAX_IMAGE_PIXELS
    assert len(unreadable([folder / "png", folder / "jpeg", folder / "sound"])) == 2
    assert before == Image.MAX_IMAGE_PIXELS
    assert 2 * before == MAX_PIXELS


def test_the_limit_is_the_user_s():
    file = saved("PNG", (40, 30))
    assert as_image_sequence([file], max_pixels=1200)[0].size == (40, 30)
    for item in (file, Image.open(io.BytesIO(file)), {"bytes": file, "path": None}):
        for read in (
            lambda item: as_image_sequence([item], max_pixels=1199)[0],
            lambda item: decode_image(item, max_pixels=1199),
        ):
            with pytest.raises(ImageError, match="40 x 30 pixels, more than max_pixels = 1199"):
                read(item)


def test_no_limit_lifts_that_of_the_bytes(monkeypatch):
    monkeypatch.setattr(_decode, "_MAX_DECODED", 4 * 1199)
    with pytest.raises(ImageError, match="more than max_pixels = 1199"):
        decode_image(saved("PNG", (40, 30)), max_pixels=10**12)


def test_files_are_regular_and_of_a_sensible_size(no_files, at_once, tmp_path):
    for path in no_files.values():
        with pytest.raises(ImageError, match=r"image 3 .*(regular file|symbolic links)"):
            decode_image(path, 3)
    assert [error.index for error in unreadable(list(no_files.values()))] == list(range(len(no_files)))
    with open(tmp_path / "sparse.tif", "wb") as file:
        file.write(tiff())
        file.truncate(2**40)
    with pytest.raises(ImageError, match="1099511627776 bytes, more than"):
        decode_image(tmp_path / "sparse.tif")
