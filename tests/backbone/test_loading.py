import shutil

import numpy as np
import pytest
import torch

from skneg.backbone import load_backbone
from skneg.backbone._tiny import TINY_FOLDER
from skneg.errors import BackboneError, InputError, SknegError


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
        ({"model": "skneg-tiny", "pretrained": "openai"}, InputError, "has its own weights"),
        ({"model": "skneg-tiny", "device": "abacus"}, InputError, "device='abacus'"),
        ({"model": "skneg-tiny", "device": np.ones(2)}, InputError, "device=array"),
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


def test_without_a_network_the_cache_is_looked_at_and_nothing_else(monkeypatch):
    from huggingface_hub import constants

    from skneg.backbone import _loading

    seen = []

    def create_model(*_, **__):
        seen.append(constants.HF_HUB_OFFLINE)
        raise RuntimeError("no such file")

    monkeypatch.setattr(_loading.open_clip, "create_model", create_model)
    for answers in (False, True):
        monkeypatch.setattr(_loading, "_hub_answers", lambda answers=answers: answers)
        with pytest.raises(BackboneError) as caught:
            load_backbone("ViT-B-32", pretrained="openai")
        assert ("does not answer" in str(caught.value)) != answers
    assert seen == [True, False]
    assert not constants.HF_HUB_OFFLINE
