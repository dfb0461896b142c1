import numpy as np
import pytest

from skneg import CLIPImageEncoder
from skneg.errors import ImageError, InputError


def test_rows_have_unit_norm_and_names():
    X = np.random.default_rng(0).integers(0, 256, (5, 40, 50, 3), dtype=np.uint8)
    encoder = CLIPImageEncoder(model="skneg-tiny")
    embeddings = encoder.fit_transform(X)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)
    assert encoder.get_feature_names_out()[0] == "clipimageencoder0"
    frame = encoder.set_output(transform="pandas").transform(X)
    assert frame.shape == (5, 128)


def test_embeddings_are_not_images():
    with pytest.raises(InputError, match="uint8"):
        CLIPImageEncoder(model="skneg-tiny").transform(np.zeros((3, 128)))


def test_the_unreadable_image_is_named():
    X = [np.zeros((8, 8, 3), np.uint8), "gone.png"]
    with pytest.raises(ImageError, match=r"image 1 \('gone.png'\)"):
        CLIPImageEncoder(model="skneg-tiny").transform(X)


@pytest.mark.parametrize("batch_size", [0, 2.5, "all"])
def test_batch_size_is_checked(batch_size):
    with pytest.raises(InputError, match="batch_size"):
        CLIPImageEncoder(model="skneg-tiny", batch_size=batch_size).transform(
            np.zeros((1, 8, 8, 3), np.uint8)
        )
