"""Model folders: they are data, and nothing in them is run."""

import json
import pickle
import shutil
import sys
import types
import warnings

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from skneg.backbone import _loading, embedding_width, load_backbone
from skneg.backbone._config import CONFIG_NAME
from skneg.backbone._tiny import TINY_FOLDER, WEIGHTS_NAME
from skneg.errors import BackboneError

from .test_config import TEXT, VISION, changed, written


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of the shipped model."""
    monkeypatch.setattr(_loading, "_loaded", {})
    return shutil.copytree(TINY_FOLDER, tmp_path / "model")


@pytest.fixture
def transformers(monkeypatch):
    """Stands in for transformers, which may not be installed: it runs a folder's code where it is told to."""
    module = types.ModuleType("transformers")
    module.asked = []

    class AutoTokenizer:
        sep_token_id = 3

        @staticmethod
        def from_pretrained(name, trust_remote_code=False, cache_dir=None, **settings):
            module.asked.append((str(name), trust_remote_code, settings))
            if trust_remote_code:
                runs = f"{name}/tokenizer.py"
                with open(runs) as file:
                    exec(compile(file.read(), runs, "exec"), {"folder": name})
            return AutoTokenizer()

        def __call__(self, texts, max_length, **settings):
            return types.SimpleNamespace(input_ids=torch.ones(len(texts), max_length, dtype=torch.long))

    module.AutoTokenizer = AutoTokenizer
    monkeypatch.setitem(sys.modules, "transformers", module)
    return module


def test_code_in_a_folder_is_not_run(folder, transformers):
    (folder / "tokenizer.py").write_text("(folder / 'it ran').touch()")
    config = changed(TEXT + "hf_tokenizer_name", "here")
    config["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = {"trust_remote_code": True}
    written(folder, config)
    open_clip.get_tokenizer(f"local-dir:{folder}")  # would run it
    assert (folder / "it ran").exists()
    (folder / "it ran").unlink()
    transformers.asked.clear()
    for load in (load_backbone, embedding_width):
        with pytest.raises(BackboneError, match="trust_remote_code|hf_tokenizer_name"):
            load(f"local-dir:{folder}")
    assert not (folder / "it ran").exists()
    assert transformers.asked == []


def test_a_tokenizer_of_open_clip_s_own_models_comes_from_the_hub_and_runs_no_code(folder, transformers):
    config = changed(TEXT + "hf_tokenizer_name", "bert-base-uncased")
    config["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = {"strip_sep_token": True}
    written(folder, config)
    (folder / "tokenizer.py").write_text("(folder / 'it ran').touch()")
    load_backbone(f"local-dir:{folder}")
    assert transformers.asked == [("bert-base-uncased", False, {})]
    assert not (folder / "it ran").exists()


def test_the_network_is_the_one_that_open_clip_builds(folder):
    config = changed("model_cfg.custom_text", True)
    config["model_cfg"]["quick_gelu"] = True
    config["preprocess_cfg"]["resize_mode"] = "squash"
    written(folder, config)
    theirs = open_clip.create_model(f"local-dir:{folder}", require_pretrained=True).eval()
    ours = load_backbone(f"local-dir:{folder}")
    network = ours.text_tower._network
    assert type(network) is type(theirs) is open_clip.CustomTextCLIP
    assert network.visual.preprocess_cfg == theirs.visual.preprocess_cfg
    texts = open_clip.get_tokenizer(f"local-dir:{folder}")(["a star", "A Key"])
    with torch.no_grad():
        expected = theirs.encode_text(texts, normalize=True).numpy()
    np.testing.assert_allclose(ours.text_tower.encode(["a star", "A Key"]), expected, atol=1e-6)
    assert embedding_width(f"local-dir:{folder}") == 128


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (TEXT + "width", 2**20),
        (TEXT + "vocab_size", 2**20),
        (VISION + "image_size", 2**16),
        (TEXT + "context_length", 4096),
    ],
)
def test_a_model_that_is_larger_than_its_weights_takes_no_memory(path, value, folder, monkeypatch):
    written(folder, changed(path, value))
    monkeypatch.setattr(open_clip, "load_checkpoint", None)
    with pytest.raises(BackboneError, match="weights, and .* bytes: it belongs to another model"):
        load_backbone(f"local-dir:{folder}")


@pytest.mark.parametrize("name", ["open_clip_pytorch_model.bin", "mine.pt"])
def test_pickled_weights_are_read_without_code(name, folder):
    weights = load_file(folder / WEIGHTS_NAME)
    expected = load_backbone(f"local-dir:{folder}").weights_sha256
    (folder / WEIGHTS_NAME).unlink()
    torch.save(weights, folder / name)
    _loading._loaded.clear()
    assert load_backbone(f"local-dir:{folder}").weights_sha256 == expected
    ran = folder / "it ran"

    class Canary:
        def __reduce__(self):
            return (ran.touch, ())

    _loading._loaded.clear()
    torch.save({**weights, "more": Canary()}, folder / name)
    with pytest.raises(BackboneError, match="could not be loaded"):
        load_backbone(f"local-dir:{folder}")
    (folder / name).write_bytes(pickle.dumps(Canary()))
    with pytest.raises(BackboneError, match="could not be loaded"):
        load_backbone(f"local-dir:{folder}")
    assert not ran.exists()


def test_the_better_known_weights_are_taken_and_others_are_no_weights(folder):
    expected = load_backbone(f"local-dir:{folder}").weights_sha256
    for name in ("a.safetensors", "model.pth", "open_clip_pytorch_model.bin"):
        (folder / name).write_bytes(b"not looked at")
    _loading._loaded.clear()
    assert load_backbone(f"local-dir:{folder}").weights_sha256 == expected
    for file in folder.iterdir():
        if file.name != CONFIG_NAME:
            file.unlink()
    (folder / "weights.npz").touch()
    _loading._loaded.clear()
    with pytest.raises(BackboneError, match="has no weights"):
        load_backbone(f"local-dir:{folder}")


def test_weights_that_are_no_regular_file_are_refused_at_once(folder, no_files, at_once):
    (folder / WEIGHTS_NAME).unlink()
    for path in no_files.values():
        (folder / WEIGHTS_NAME).symlink_to(path)
        with pytest.raises(BackboneError, match="could not be loaded"):
            load_backbone(f"local-dir:{folder}")
        with pytest.raises(BackboneError):
            load_backbone("ViT-B-32", pretrained=str(path))
        (folder / WEIGHTS_NAME).unlink()


def test_forged_headers_of_weights_are_refused(folder):
    weights = load_file(folder / WEIGHTS_NAME)
    save_file({**weights, "more": torch.zeros(3)}, folder / WEIGHTS_NAME)
    data = (folder / WEIGHTS_NAME).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    for name, change in (
        ("more", {"shape": [2**40], "data_offsets": [0, 2**42]}),
        ("more", {"shape": [2**62, 4]}),
        ("text_projection", {"data_offsets": header["more"]["data_offsets"]}),
    ):
        forged = json.dumps({**header, name: {**header[name], **change}}).encode()
        (folder / WEIGHTS_NAME).write_bytes(len(forged).to_bytes(8, "little") + forged + data[8 + length :])
        with pytest.raises(BackboneError, match="could not be loaded"):
            load_backbone(f"local-dir:{folder}")
    (folder / WEIGHTS_NAME).write_bytes((2**60).to_bytes(8, "little") + data[8:])
    with pytest.raises(BackboneError, match="could not be loaded"):
        load_backbone(f"local-dir:{folder}")


def test_nothing_is_warned_of(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_backbone(f"local-dir:{folder}")


def refused(folder, **preprocess):
    """Why the folder's model is refused once its configuration says this of images."""
    config = changed("preprocess_cfg.mode", "RGB")
    config["preprocess_cfg"] |= preprocess
    written(folder, config)
    with pytest.raises(BackboneError, match="could not be loaded") as caught:
        load_backbone(f"local-dir:{folder}")
    return str(caught.value)


@pytest.mark.parametrize(
    "preprocess",
    [
        {"mean": [0.5]},
        {"std": [0.5, 0.5]},
        {"interpolation": "cubic"},
        {"resize_mode": "x"},
    ],
)
def test_images_that_cannot_be_prepared_are_an_error_of_the_folder(preprocess, folder):
    refused(folder, **preprocess)


def test_weights_that_compute_nothing_are_refused(folder):
    weights = load_file(folder / WEIGHTS_NAME)
    weights["text_projection"][0] = float("nan")
    save_file(weights, folder / WEIGHTS_NAME)
    assert "not length 1" in refused(folder)


def test_a_size_that_the_weights_do_not_fit_is_refused(folder):
    config = changed(VISION + "image_size", 95)  # with as many weights as for 64
    written(folder, config)
    with pytest.raises(BackboneError, match="could not be loaded"):
        load_backbone(f"local-dir:{folder}")
