from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from skneg import CLIPImageEncoder
from skneg.errors import ImageError
from skneg.images import unreadable


def png(size=8):
    file = BytesIO()
    Image.new("RGB", (size, size), "red").save(file, "PNG")
    return file.getvalue()


def test_all_are_named_in_order(tmp_path):
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "page.jpg").write_bytes(b"<html>not found</html>")
    cut = png(64)[:-30]
    items = [
        png(),
        cut,
        tmp_path / "empty.jpg",
        png(),
        tmp_path / "page.jpg",
        tmp_path / "gone.jpg",
        b"\0" * 99,
    ]
    errors = unreadable(items)
    assert [error.index for error in errors] == [1, 2, 4, 5, 6]
    assert "page.jpg" in str(errors[2])
    assert "does not exist" in str(errors[3])
    left = [item for i, item in enumerate(items) if i not in {error.index for error in errors}]
    assert unreadable(left) == []


def test_one_error_has_all_and_says_some():
    items = [png(), *[b"broken"] * 14, png()]
    with pytest.raises(ImageError, match=r"^14 images cannot .* image 1 .*image 10 .*; and 4 more") as caught:
        CLIPImageEncoder(model="skneg-tiny").transform(items)
    assert caught.value.index == 1
    assert [error.index for error in caught.value.errors] == list(range(1, 15))
    assert [str(error) for error in caught.value.errors] == [str(error) for error in unreadable(items)]


def test_arrays_can_be_read():
    assert unreadable(np.zeros((3, 8, 8, 3), dtype=np.uint8)) == []
