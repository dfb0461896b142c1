"""The shipped model: it is small, and it is the one that was recorded."""

import shutil

import pytest

from skneg.backbone._tiny import TINY_FOLDER, verified_tiny_folder
from skneg.errors import BackboneError


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


def test_the_shipped_folder_is_what_its_checksum_says():
    assert verified_tiny_folder() == TINY_FOLDER


@pytest.mark.parametrize("text", [None, "", "\n"])
def test_a_folder_without_a_recorded_checksum_is_refused(text, tmp_path):
    shutil.copytree(TINY_FOLDER, tmp_path / "tiny")
    sums = tmp_path / "tiny" / "SHA256SUMS"
    if text is None:
        sums.unlink()
    else:
        sums.write_text(text)
    with pytest.raises(BackboneError, match=f"{tmp_path / 'tiny'} is incomplete.*reinstall"):
        verified_tiny_folder(tmp_path / "tiny")
