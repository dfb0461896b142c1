"""What tells one backbone from another: its weights, and what they need to be the same function."""

import copy
import json
import shutil

import pytest
import torch
from torch import nn

from skneg.backbone import load_backbone
from skneg.backbone._fingerprint import checksum_of_text, hash_weights, settings_of
from skneg.backbone._tiny import TINY_FOLDER


def network(seed=0):
    """A layer with weights, and one with running means and a counter, which are no parameters."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_neither_the_folder_nor_the_precision_is_part_of_the_hash(tmp_path):
    shipped = load_backbone("skneg-tiny")
    shutil.copytree(TINY_FOLDER, tmp_path / "moved")
    assert load_backbone("skneg-tiny", precision="bf16").weights_sha256 == shipped.weights_sha256
    assert load_backbone(f"local-dir:{tmp_path / 'moved'}").weights_sha256 == shipped.weights_sha256


def test_copies_have_one_hash_however_they_lie_in_memory():
    one = network()
    expected = hash_weights(one)
    assert hash_weights(copy.deepcopy(one)) == expected
    one[0].weight.data = one[0].weight.data.T.contiguous().T  # the same values, column after column
    assert not one[0].weight.is_contiguous()
    assert hash_weights(one.requires_grad_(False).eval()) == expected
    assert hash_weights(network(seed=1)) != expected


@pytest.mark.parametrize("name", ["0.weight", "0.bias", "1.running_mean", "1.num_batches_tracked"])
def test_every_weight_and_buffer_counts(name):
    one = network()
    before = hash_weights(one)
    one.state_dict()[name].view(-1)[-1:].add_(1)
    assert hash_weights(one) != before


def test_names_and_shapes_count_beside_the_values():
    def holder(**buffers):
        module = nn.Module()
        for name, values in buffers.items():
            module.register_buffer(name, values)
        return module

    zeros = torch.zeros(6)
    hashes = {
        hash_weights(module)
        for module in (holder(a=zeros), holder(b=zeros), holder(a=zeros.view(2, 3)), holder(a=zeros.long()))
    }
    assert len(hashes) == 4
    assert hash_weights(holder(a=zeros, b=zeros)) == hash_weights(holder(b=zeros, a=zeros))
    assert hash_weights(holder(a=zeros.half())) == hash_weights(holder(a=zeros))


def test_settings_name_the_preparation_and_the_activation():
    shipped = load_backbone("skneg-tiny").text_tower._network
    settings = settings_of(shipped)
    written = json.loads((TINY_FOLDER / "open_clip_config.json").read_text())["preprocess_cfg"]
    assert written.items() <= settings.items()
    assert settings["activation"] == ["GELU"]
    assert json.loads(json.dumps(settings)) == settings  # as a file will give them back


def test_the_checksum_of_text_sees_every_weight_but_the_image_towers():
    one = nn.ModuleDict({"visual": network(), "text": network()})
    expected = checksum_of_text(one)
    assert checksum_of_text(copy.deepcopy(one)) == expected
    one["visual"][0].weight.data += 1
    assert checksum_of_text(one) == expected
    one["text"][0].bias.data[-1] += 1e-6
    assert checksum_of_text(one) != expected


def test_the_checksum_of_text_is_the_same_in_every_precision():
    shipped = load_backbone("skneg-tiny").text_checksum
    assert load_backbone("skneg-tiny", precision="bf16").text_checksum == shipped
