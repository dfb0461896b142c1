"""Files of weights: regular, without code, and no larger than they are."""

import io
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from skneg.backbone import load_backbone, load_no_tower, save_no_tower
from skneg.backbone._no_tower import _weights, copy_text_tower
from skneg.backbone._weights import check_weights, is_held, read_pickled
from skneg.errors import BackboneError

WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3)}


@pytest.mark.parametrize("is_legacy", [False, True])
def test_what_is_written_is_read(is_legacy, tmp_path):
    torch.save(WEIGHTS, tmp_path / "a.pt", _use_new_zipfile_serialization=not is_legacy)
    check_weights(tmp_path / "a.pt")
    assert (read_pickled(tmp_path / "a.pt")["a"] == WEIGHTS["a"]).all()
    save_file(WEIGHTS, tmp_path / "a.safetensors")
    check_weights(tmp_path / "a.safetensors")


@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
def test_files_of_numpy_are_not_opened(name, tmp_path):
    with pytest.raises(ValueError, match="convert it to safetensors"):
        check_weights(tmp_path / name)


def test_any_other_name_is_read_as_torch_writes_it(tmp_path):
    torch.save(WEIGHTS, tmp_path / "a.pth.tar")
    check_weights(tmp_path / "a.pth.tar")


def repacked(data, compression, more=b""):
    """A file of torch, packed again."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(packed, "w", compression) as after:
        for entry in before.infolist():
            after.writestr(entry.filename, before.read(entry))
        if more:
            after.writestr("archive/data/9", more)
    return packed.getvalue()


def test_compressed_weights_are_refused(tmp_path):
    torch.save({"a": torch.zeros(2**22)}, tmp_path / "a.pt")
    data = (tmp_path / "a.pt").read_bytes()
    packed = repacked(data, zipfile.ZIP_DEFLATED)
    assert len(packed) < len(data) / 100
    (tmp_path / "a.pt").write_bytes(packed)
    with pytest.raises(ValueError, match="compressed"):
        check_weights(tmp_path / "a.pt")
    with pytest.raises(BackboneError, match="compressed"):
        load_no_tower(load_backbone("skneg-tiny"), tmp_path / "a.pt")


def test_parts_that_are_larger_than_the_file_are_refused(tmp_path):
    torch.save(WEIGHTS, tmp_path / "a.pt")
    data = repacked((tmp_path / "a.pt").read_bytes(), zipfile.ZIP_STORED, b"sixteen bytes !!")
    size = (16).to_bytes(4, "little")
    place = data.rindex(b"PK\x01\x02")
    forged = data[:place] + data[place:].replace(size * 2, size + (2**31 - 1).to_bytes(4, "little"), 1)
    assert forged != data
    (tmp_path / "a.pt").write_bytes(forged)
    with pytest.raises(ValueError, match="larger than itself"):
        check_weights(tmp_path / "a.pt")


def test_a_number_that_is_repeated_without_end_is_not_held():
    assert is_held(torch.ones(2, 3).T)
    assert not is_held(torch.ones(1).expand(10**6, 10**6))
    assert not is_held(torch.ones(3, device="meta"))
    assert not is_held(torch.eye(3).to_sparse())


def test_weights_of_one_number_are_refused(tmp_path):
    endless = {"a": torch.zeros(1).expand(10**6, 10**6)}
    for held in (endless, {"state_dict": endless}):
        torch.save(held, tmp_path / "a.pt")
        with pytest.raises(ValueError, match="a has fewer numbers"):
            check_weights(tmp_path / "a.pt")
    torch.save([1], tmp_path / "a.pt")
    with pytest.raises(ValueError, match="no dict"):
        check_weights(tmp_path / "a.pt")


def test_a_tower_of_one_number_is_refused(tmp_path):
    backbone = load_backbone("skneg-tiny")
    state = dict(_weights(copy_text_tower(backbone.text_tower)))
    state["prompt_no"] = torch.zeros(1).expand(10**6, *state["positional_embedding_no"].shape)
    torch.save(state, tmp_path / "a.pt")
    with pytest.raises(BackboneError, match="'prompt_no' has fewer numbers than its shape says"):
        load_no_tower(backbone, tmp_path / "a.pt")
    save_no_tower(copy_text_tower(backbone.text_tower), tmp_path / "b.safetensors")
    load_no_tower(backbone, tmp_path / "b.safetensors")


def test_no_tower_that_is_no_regular_file_is_refused_at_once(no_files, at_once):
    for path in no_files.values():
        with pytest.raises(BackboneError, match="cannot be read"):
            load_no_tower(load_backbone("skneg-tiny"), path)
