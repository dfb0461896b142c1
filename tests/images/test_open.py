import io
import warnings

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from skneg.errors import ImageError
from skneg.images import decode_image
from skneg.images._decode import FORMATS
from skneg.images._open import opened

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8))


def written(name):
    PICTURE.save(file := io.BytesIO(), name)
    return file.getvalue()


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_opened_as_pillow_does(name):
    data = written(name)
    expected = Image.open(io.BytesIO(data))
    with opened(io.BytesIO(data), FORMATS) as image:
        assert (image.format, image.size, image.mode) == (name, expected.size, expected.mode)
        np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))


def test_a_file_of_no_format_is_refused_and_one_that_was_given_stays_open():
    file = io.BytesIO(b"no image at all")
    with pytest.raises(UnidentifiedImageError, match="cannot identify"), opened(file, FORMATS):
        pass
    with pytest.raises(UnidentifiedImageError), opened(io.BytesIO(written("PNG")), ["JPEG"]):
        pass
    assert not file.closed


@pytest.mark.parametrize("name", FORMATS)
def test_a_large_image_is_opened_without_a_warning_up_to_twice_the_limit_of_pillow(name, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 600)  # it has 1,200
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert decode_image(written(name)).size == (30, 40)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 599)
        with pytest.raises(ImageError, match="DecompressionBombError"):
            decode_image(written(name))
    # Pillow's reader of TIFF itself warns of the size of its tiles.
    assert caught == [] or name == "TIFF"
