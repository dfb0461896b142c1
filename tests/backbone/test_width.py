"""How wide a model's embeddings are, without its weights."""

import shutil

import pytest

from skneg.backbone import _width, embedding_width, load_backbone
from skneg.backbone._tiny import TINY_FOLDER
from skneg.errors import BackboneError, InputError


@pytest.fixture
def no_weights(monkeypatch):
    """No model can be loaded."""

    def refuse(*arguments, **keywords):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(_width, "load_backbone", refuse)


@pytest.mark.parametrize(
    ("model", "width"), [("skneg-tiny", 128), ("ViT-B-16", 512), ("ViT-B/16", 512), ("ViT-L-14", 768)]
)
def test_the_width_of_a_model_is_known_without_its_weights(model, width, no_weights):
    assert embedding_width(model) == width


def test_the_width_that_is_written_is_the_width_that_comes_out():
    assert embedding_width("skneg-tiny") == load_backbone("skneg-tiny").text_tower.embed_dim


def test_the_width_of_a_folder_is_read_from_its_configuration(tmp_path, monkeypatch, no_weights):
    shutil.copytree(TINY_FOLDER, tmp_path / "mine", ignore=shutil.ignore_patterns("*.safetensors"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert embedding_width(f"local-dir:{tmp_path / 'mine'}") == 128
    assert embedding_width("local-dir:~/mine") == 128


@pytest.mark.parametrize("model", ["ViT-B-61", "local-dir:/nowhere"])
def test_a_model_that_cannot_be_had_is_named(model):
    with pytest.raises(BackboneError, match=model.removeprefix("local-dir:")):
        embedding_width(model)


@pytest.mark.parametrize("model", [None, 5, ["skneg-tiny"], b"skneg-tiny"])
def test_what_is_no_name_is_refused(model):
    with pytest.raises(InputError, match="model"):
        embedding_width(model)
