import pickle
import shutil

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

import skneg
from skneg import (
    CLIPImageEncoder,
    KNNDetector,
    LinearProbeDetector,
    MahalanobisDetector,
    NegPromptDetector,
    TimmImageEncoder,
)
from skneg.errors import BackboneError, ImageError, InputError, InputWarning

from .backbone.test_timm import saved


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


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("encoder") / "model")


class TestTimm:
    """The same promises with a model of timm; tests/backbone/test_timm.py has what it computes."""

    def test_any_images_give_unit_rows_with_names(self, folder, tmp_path, scenes):
        encoder = TimmImageEncoder(model=f"local-dir:{folder}", batch_size=2)
        pixels = scenes[0][:3]
        pictures = [Image.fromarray(image) for image in pixels]
        for number, picture in enumerate(pictures):
            picture.save(tmp_path / f"{number}.png")
        files = [tmp_path / f"{number}.png" for number in range(3)]
        Z = encoder.fit_transform(pixels)
        assert (Z.shape, Z.dtype) == ((3, 64), np.float32)
        np.testing.assert_allclose(np.linalg.norm(Z, axis=1), 1, atol=1e-6)
        for other in (pictures, files, [file.read_bytes() for file in files]):
            np.testing.assert_array_equal(encoder.transform(other), Z)
        frame = clone(encoder).set_output(transform="pandas").transform(pixels)
        assert list(frame.columns[:2]) == ["timmimageencoder0", "timmimageencoder1"]
        assert encoder.backbone() is clone(encoder).backbone()

    def test_a_cache_encodes_each_image_once_and_holds_other_models_too(
        self, folder, tmp_path, scenes, monkeypatch
    ):
        encoder = TimmImageEncoder(model=f"local-dir:{folder}", cache=tmp_path)
        Z = encoder.transform(scenes[0][:4])
        assert CLIPImageEncoder(model="skneg-tiny", cache=tmp_path).transform(scenes[0][:4]).shape == (4, 128)
        tower = encoder.backbone().image_tower
        monkeypatch.setattr(tower, "encode", lambda *args, **options: pytest.fail("encoded again"))
        np.testing.assert_array_equal(encoder.transform(scenes[0][:4]), Z)

    def test_bad_images_are_named_or_skipped(self, folder, scenes):
        items = [scenes[0][0], b"broken", scenes[0][1]]
        encoder = TimmImageEncoder(model=f"local-dir:{folder}", on_error="skip")
        with pytest.warns(InputWarning, match="image 1 "):
            assert np.isnan(encoder.transform(items)).all(axis=1).tolist() == [False, True, False]
        with pytest.raises(ImageError, match="image 1"):
            clone(encoder).set_params(on_error="raise").transform(items)

    @pytest.mark.parametrize("model", [None, "", 5, ["resnet50"]])
    def test_what_is_no_name_is_refused(self, model, scenes):
        with pytest.raises(InputError, match="model must be the name of a model of timm"):
            TimmImageEncoder(model=model).transform(scenes[0][:1])

    @pytest.mark.parametrize(
        "detector",
        [
            KNNDetector(random_state=0),
            MahalanobisDetector(random_state=0),
            LinearProbeDetector(random_state=0),
            NegPromptDetector(evidence="images", random_state=0),
        ],
        ids=lambda detector: type(detector).__name__,
    )
    def test_a_pipeline_is_the_detector_with_that_model_and_files_hold_it(
        self, detector, folder, scenes, strange_scenes, tmp_path
    ):
        X, y = scenes[0][:90], scenes[1][:90]
        piped = make_pipeline(TimmImageEncoder(model=f"local-dir:{folder}"), detector).fit(X, y)
        direct = clone(detector).set_params(model=f"timm:local-dir:{folder}").fit(X, y)
        expected = piped.decision_function(strange_scenes[:9])
        np.testing.assert_array_equal(direct.decision_function(strange_scenes[:9]), expected)
        assert direct.backbone_ == f"timm:local-dir:{folder}"
        piped[-1].save(tmp_path / "a.skneg")
        Z = piped[0].transform(strange_scenes[:9])
        np.testing.assert_array_equal(skneg.load(tmp_path / "a.skneg").decision_function(Z), expected)
        direct.save(tmp_path / "b.skneg")
        moved = shutil.copytree(folder, tmp_path / "moved")
        again = skneg.load(tmp_path / "b.skneg", model=f"timm:local-dir:{moved}")
        np.testing.assert_array_equal(again.decision_function(strange_scenes[:9]), expected)
        other = skneg.load(tmp_path / "b.skneg", model=f"timm:local-dir:{saved(tmp_path / 'other', seed=1)}")
        with pytest.raises(BackboneError, match="weights of sha256"):
            other.predict(strange_scenes[:1])


def test_embeddings_of_another_width_say_who_takes_them(embedded):
    with pytest.raises(InputError, match="has 64 columns.*128 dimensions.*evidence='images'"):
        NegPromptDetector(model="skneg-tiny").fit(embedded[0][:, :64], embedded[1])
