"""A model folder's configuration: what is allowed, and that all else is refused by name."""

import copy
import json

import open_clip
import pytest

from skneg.backbone._config import CONFIG_NAME, read_config
from skneg.datasets.train_tiny import MODEL_CFG, PREPROCESS_CFG
from skneg.errors import BackboneError

TINY = {"model_cfg": MODEL_CFG, "preprocess_cfg": PREPROCESS_CFG}


def written(folder, config):
    file = folder / CONFIG_NAME
    file.write_text(config if isinstance(config, str) else json.dumps(config))
    return file


def changed(path, value):
    """The shipped model's configuration with one more value."""
    config = copy.deepcopy(TINY)
    *sections, key = path.split(".")
    place = config
    for section in sections:
        place = place.setdefault(section, {})
    place[key] = value
    return config


@pytest.mark.parametrize("name", open_clip.list_models())
def test_what_open_clip_s_own_models_say_is_allowed(name, tmp_path):
    config = {"model_cfg": open_clip.get_model_config(name), "preprocess_cfg": PREPROCESS_CFG}
    assert read_config(written(tmp_path, config)) == json.loads(json.dumps(config))


TEXT, VISION = "model_cfg.text_cfg.", "model_cfg.vision_cfg."


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (TEXT + "tokenizer_kwargs.trust_remote_code", True),
        (TEXT + "tokenizer_kwargs.trust_remote_code", False),
        (TEXT + "tokenizer_kwargs.code_revision", "main"),
        (TEXT + "tokenizer_kwargs.bpe_path", "/dev/zero"),
        (TEXT + "tokenizer_kwargs.additional_special_tokens", ["(a+)+"]),
        (TEXT + "tokenizer_kwargs.tokenizer_name", "./here"),
        (TEXT + "tokenizer_kwargs.clean", "eval"),
        (TEXT + "tokenizer_kwargs.clean", {"a": 1}),
        (TEXT + "tokenizer_kwargs.clean", ["lower"]),
        (TEXT + "tokenizer_mode", "mine"),
        (TEXT + "hf_tokenizer_name", "someone/evil"),
        (TEXT + "hf_tokenizer_name", "."),
        (TEXT + "hf_tokenizer_name", {"a": 1}),
        (TEXT + "hf_model_name", "someone/evil"),
        (TEXT + "hf_model_name", "/tmp/evil"),
        (TEXT + "hf_model_config", {"auto_map": {}}),
        (VISION + "timm_model_name", "hf-hub:someone/evil"),
        (VISION + "timm_model_name", "hf_hub:someone/evil"),
        (VISION + "timm_model_name", "local-dir:/tmp/evil"),
        (VISION + "timm_model_name", "./evil"),
        (VISION + "timm_model_kwargs", {"checkpoint_path": "evil.pth"}),
        (VISION + "act_kwargs.inplace", True),
        (VISION + "norm_kwargs.dtype", "float16"),
        ("model_cfg.cast_dtype", "float16"),
        ("model_cfg.auto_map", {}),
        ("preprocess_cfg.code", "x"),
        ("preprocess_cfg.mode", "CMYK"),
        ("auto_map", {}),
        (VISION + "width", 10**9),
        (VISION + "width", 1e400),
        (VISION + "width", float("nan")),
        (VISION + "width", 10**400),
        (VISION + "width", "x" * 1000),
        (VISION + "layers", 10**6),
        (VISION + "layers", [1] * 1000),
        (VISION + "image_size", {"a": 1}),
        (TEXT + "context_length", 10**5),
        (TEXT + "vocab_size", [[1]]),
        ("model_cfg.embed_dim", "512"),
        ("model_cfg.vision_cfg", []),
        ("model_cfg.text_cfg", None),
        ("model_cfg", 5),
    ],
)
def test_all_else_is_refused_by_its_name(path, value, tmp_path):
    with pytest.raises(BackboneError, match="is refused") as caught:
        read_config(written(tmp_path, changed(path, value)))
    assert path.rpartition(".")[2] in str(caught.value)
    assert "security.md" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read"),
        ("[" * 50 + "]" * 50, "deep"),
        ("[" + "0," * 5000 + "0]", "values"),
        (" " * 2**20, "more than"),
        ("[]", "not an object"),
        ("{}", "has no model_cfg"),
    ],
)
def test_what_is_no_configuration_is_refused(text, message, tmp_path):
    with pytest.raises(BackboneError, match=message):
        read_config(written(tmp_path, text))


def test_only_regular_files_are_read(no_files, at_once):
    for path in no_files.values():
        with pytest.raises(BackboneError, match="cannot be read"):
            read_config(path)


def test_a_tower_of_timm_s_registry_is_allowed(tmp_path):
    for name in ("resnet18", "resnet18.a1_in1k"):
        read_config(written(tmp_path, changed(VISION + "timm_model_name", name)))
