import numpy as np
import pytest

from skneg.images import CroppedImages, ImageSequence, as_image_sequence

GREYS = np.array([10, 60, 110, 160])
PICTURES = as_image_sequence(np.stack([np.full((12, 12, 3), grey, np.uint8) for grey in GREYS]))


@pytest.fixture
def calls():
    return []


@pytest.fixture
def images(calls):
    def embed(views: ImageSequence) -> np.ndarray:
        """Mean grey, and the number of pixels."""
        calls.append(len(views))
        pixels = [np.asarray(view) for view in views]
        return np.array([[p.mean(), p.shape[0] * p.shape[1]] for p in pixels], dtype=float)

    return CroppedImages.of(np.arange(8.0).reshape(4, 2), PICTURES, embed, 5, (0.1, 0.5))


def test_crops_are_of_their_images_and_as_large_as_asked(images):
    crops = images.crops(0)
    np.testing.assert_array_equal(crops[:, :, 0], np.repeat(GREYS[:, None], 5, axis=1))
    assert crops[:, :, 1].max() <= 0.6 * 144
    assert len(np.unique(crops[:, :, 1])) > 3


def test_crops_are_made_when_asked_for_and_once(images, calls):
    np.testing.assert_array_equal(np.asarray(images), images.embeddings)
    assert len(images[[2, 0]]) == 2
    assert calls == []
    whole = images.crops(0)
    np.testing.assert_array_equal(images[[2, 0]].crops(0), whole[[2, 0]])
    assert calls == [4 * 6]
    assert (images.crops(1)[:, :, 1] != whole[:, :, 1]).any()


def test_crops_of_some_do_not_depend_on_the_others(images, calls):
    some = images[np.array([False, True, True, False])]
    crops = some.crops(0)
    np.testing.assert_array_equal(crops[:, 0, 0], GREYS[1:3])
    assert calls == [2 * 6]
    np.testing.assert_array_equal(some[1:].crops(0), crops[1:])
    assert images.crops(0).shape == (4, 5, 2)
