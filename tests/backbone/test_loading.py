import shutil
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from skneg.backbone import load_backbone
from skneg.backbone._tiny import TINY_FOLDER, verified_tiny_folder
from skneg.errors import BackboneError, ImageError, InputError, SknegError
from skneg.images import as_image_sequence


def test_a_backbone_is_loaded_once():
    first = load_backbone("skneg-tiny")
    assert load_backbone("skneg-tiny", device="cpu", precision="fp32") is first


def test_towers_are_frozen():
    network = load_backbone("skneg-tiny").text_tower.module
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": "ViT-B-61"}, BackboneError, "Did you mean 'ViT-B-16'"),
        ({"model": "ViT-B-16"}, BackboneError, "Without a network.*local-dir:"),
        ({"model": "hf-hub:nobody/nothing"}, BackboneError, "Without a network"),
        ({"model": "local-dir:/nowhere"}, BackboneError, "/nowhere"),
        ({"model": "ViT-B-32"}, InputError, "needs pretrained=.*openai"),
        ({"model": "ViT-B-32", "pretrained": "gone.pt"}, BackboneError, "'gone.pt' is neither a file"),
        ({"model": "skneg-tiny", "pretrained": "openai"}, InputError, "brings its own weights"),
        ({"model": "skneg-tiny", "device": "abacus"}, InputError, "device='abacus'"),
        ({"model": "skneg-tiny", "precision": "fp8"}, InputError, "precision"),
        ({"model": 5}, InputError, "model"),
    ],
)
def test_a_model_that_cannot_be_had_says_what_to_do(arguments, error, message, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(error, match=message) as caught:
        load_backbone(**arguments)
    assert isinstance(caught.value, SknegError)


def test_a_local_folder_and_a_checkpoint_file_load():
    shipped = load_backbone("skneg-tiny").text_tower.encode(["a star"])
    folder = load_backbone(f"local-dir:{TINY_FOLDER}").text_tower.encode(["a star"])
    np.testing.assert_array_equal(shipped, folder)


def test_a_folder_without_weights_is_refused_rather_than_left_random(tmp_path):
    shutil.copy(TINY_FOLDER / "open_clip_config.json", tmp_path)
    with pytest.raises(BackboneError, match="could not be loaded"):
        load_backbone(f"local-dir:{tmp_path}")


def test_a_pickled_checkpoint_with_code_in_it_is_refused(tmp_path):
    ran = tmp_path / "ran"

    class Canary:
        def __reduce__(self):
            return (ran.write_text, ("boom",))

    torch.save({"state_dict": Canary()}, tmp_path / "evil.pt")
    with pytest.raises(BackboneError):
        load_backbone("ViT-B-32", pretrained=str(tmp_path / "evil.pt"))
    assert not ran.exists()


def test_damaged_shipped_weights_are_refused(tmp_path):
    shutil.copytree(TINY_FOLDER, tmp_path / "tiny")
    weights = tmp_path / "tiny" / "open_clip_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(BackboneError, match="sha256"):
        verified_tiny_folder(tmp_path / "tiny")
    weights.unlink()
    with pytest.raises(BackboneError, match="incomplete"):
        verified_tiny_folder(tmp_path / "tiny")


def test_shipped_model_is_small():
    assert sum(file.stat().st_size for file in TINY_FOLDER.iterdir()) < 12e6


class TestImageTower:
    def test_rows_do_not_depend_on_batch_size_or_order(self, scenes):
        tower = load_backbone("skneg-tiny").image_tower
        images = as_image_sequence(scenes[0][:20])
        whole = tower.encode(images, batch_size=64)
        np.testing.assert_allclose(tower.encode(images, batch_size=3), whole, atol=1e-5)
        backwards = tower.encode(as_image_sequence(scenes[0][:20][::-1]))
        np.testing.assert_allclose(backwards[::-1], whole, atol=1e-5)

    def test_preprocessed_tensors_are_taken_as_they_are(self, scenes):
        tower = load_backbone("skneg-tiny").image_tower
        pixels = torch.from_numpy(scenes[0][:4]).permute(0, 3, 1, 2) / 255
        preprocessed = (pixels - 0.5) / 0.25
        expected = tower.encode(as_image_sequence(scenes[0][:4]))
        got = tower.encode(as_image_sequence(preprocessed))
        np.testing.assert_allclose(got, expected, atol=1e-5)
        with pytest.raises(ImageError, match=r"\(3, 64, 64\)"):
            tower.encode(as_image_sequence(preprocessed[:, :, :32]))
        preprocessed[2, 0, 0, 0] = torch.nan
        with pytest.raises(ImageError, match="image 2 holds NaN"):
            tower.encode(as_image_sequence(preprocessed))

    def test_one_lazy_image_many_times_is_decoded_by_many_threads(self, tmp_path):
        path = tmp_path / "a.png"
        Image.fromarray(np.zeros((300, 300, 3), np.uint8)).save(path)
        tower = load_backbone("skneg-tiny").image_tower
        for _ in range(5):
            assert len(tower.encode(as_image_sequence([Image.open(path)] * 8))) == 8

    def test_the_user_s_warning_filters_stay(self, scenes):
        before = list(warnings.filters)
        load_backbone("skneg-tiny").image_tower.encode(as_image_sequence([scenes[0][0]] * 200))
        assert warnings.filters == before

    def test_out_of_memory_halves_the_batch_then_is_a_typed_error(self, scenes, monkeypatch):
        tower = load_backbone("skneg-tiny").image_tower
        images = as_image_sequence(scenes[0][:20])
        expected = tower.encode(images)
        forward, limit, sizes = tower._forward, 6, []

        def small_memory(pixels, *rest):
            sizes.append(len(pixels))
            if len(pixels) > limit:
                raise torch.OutOfMemoryError
            return forward(pixels, *rest)

        monkeypatch.setattr(tower, "_forward", small_memory)
        np.testing.assert_allclose(tower.encode(images, batch_size=16), expected, atol=1e-5)
        assert max(sizes[2:]) <= 8
        limit = 0
        with pytest.raises(SknegError, match="too little memory"):
            tower.encode(images)


class TestTextTower:
    def test_too_long_texts_are_refused_by_name(self):
        tower = load_backbone("skneg-tiny").text_tower
        name = "very " * 40 + "long"
        with pytest.raises(ValueError, match=r"very very.*number 1\).*32 tokens"):
            tower.tokenize(["short", name])

    def test_temperature_is_the_inverse_logit_scale(self):
        tower = load_backbone("skneg-tiny").text_tower
        assert tower.temperature == pytest.approx(1 / float(tower.module.logit_scale.exp()))
