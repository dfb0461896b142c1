import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from skneg.images._thumbnail import thumbnail


def opened(address):
    return Image.open(BytesIO(base64.b64decode(address.removeprefix("data:image/jpeg;base64,"))))


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK"])
def test_is_a_small_picture_of_the_same_shape(mode):
    image = Image.new("RGB", (400, 200), (250, 10, 10)).convert(mode)
    small = opened(thumbnail(image, 100))
    assert small.size == (100, 50)
    assert image.size == (400, 200)


def test_a_small_image_is_not_blown_up():
    assert opened(thumbnail(Image.new("RGB", (7, 3)))).size == (7, 3)


def test_what_is_no_image_has_no_picture():
    assert thumbnail(np.zeros((3, 8, 8), dtype=np.float32)) == ""
