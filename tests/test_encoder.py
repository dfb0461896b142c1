import pickle

import numpy as np
import pytest

from skneg import CLIPImageEncoder
from skneg.errors import ImageError, InputError, InputWarning


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


class TestBadImages:
    """Some of the images cannot be read."""

    @pytest.fixture
    def items(self, scenes):
        import torch

        return [*scenes[0][:9], b"broken", *scenes[0][9:12], torch.zeros(3, 8, 8), "gone.png"]

    @pytest.mark.parametrize("local", [False, True])
    @pytest.mark.parametrize("cached", [False, True])
    def test_rows_of_nan_stand_for_them(self, items, local, cached, tmp_path):
        cache = tmp_path if cached else None
        encoder = CLIPImageEncoder(
            model="skneg-tiny", local=local, cache=cache, on_error="skip", batch_size=4
        )
        good = [*range(9), *range(10, 13)]
        for _ in range(2):  # from the cache too
            with pytest.warns(InputWarning, match="NaN stand for 3 skipped images.*image 9 .*image 14 "):
                Z = encoder.transform(items)
            assert Z.dtype == np.float32
            assert np.isnan(Z[[9, 13, 14]]).all()
            alone = CLIPImageEncoder(model="skneg-tiny", local=local).transform([items[i] for i in good])
            np.testing.assert_allclose(Z[good], alone, atol=1e-6)

    @pytest.mark.parametrize("cached", [False, True])
    def test_one_error_names_all_and_what_was_encoded_is_kept(self, items, cached, tmp_path, monkeypatch):
        encoder = CLIPImageEncoder(model="skneg-tiny", cache=tmp_path if cached else None, batch_size=4)
        with pytest.raises(ImageError, match="^3 images .*image 9 .*image 13 .*image 14 ") as caught:
            encoder.transform(items)
        assert [error.index for error in caught.value.errors] == [9, 13, 14]
        assert pickle.loads(pickle.dumps(caught.value)).errors[2].index == 14
        if cached:
            tower = encoder.backbone().image_tower
            monkeypatch.setattr(tower, "encode", lambda *args, **options: pytest.fail("encoded again"))
            encoder.transform(items[:9] + items[10:13])

    @pytest.mark.parametrize("cached", [False, True])
    @pytest.mark.parametrize("on_error", ["raise", "skip"])
    def test_no_image_can_be_read(self, on_error, cached, tmp_path):
        cache = tmp_path if cached else None
        encoder = CLIPImageEncoder(model="skneg-tiny", on_error=on_error, cache=cache)
        with pytest.raises(ImageError, match="^2 images cannot be read"):
            encoder.transform([b"", b"x"])

    def test_the_parameter_is_checked(self, items):
        with pytest.raises(InputError, match="on_error must be one of"):
            CLIPImageEncoder(model="skneg-tiny", on_error="ignore").transform(items)
