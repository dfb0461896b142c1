"""A model folder, on this machine or on the hub: its checked configuration and its weights to a network."""

from __future__ import annotations

import os
from contextlib import suppress
from copy import deepcopy
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import open_clip
import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError
from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME
from open_clip.model import set_model_preprocess_cfg
from open_clip.transform import PreprocessCfg, merge_preprocess_dict

from ..errors import BackboneError
from ._config import CONFIG_NAME, read_config
from ._weights import SUFFIXES, check_weights

# The names that open_clip gives to weights, the first that is there is taken.
_ON_THE_HUB = (HF_SAFE_WEIGHTS_NAME, "open_clip_pytorch_model.safetensors", HF_WEIGHTS_NAME)
_IN_A_FOLDER = (
    "open_clip_pytorch_model.pth", "model.safetensors", "pytorch_model.bin",
    "pytorch_model.pth", "model.pth",
)  # fmt: skip

# Towers whose sizes come from an installed package are not measured: the smallest stands for them.
_SMALL = {
    "vision_cfg": {"layers": 1, "width": 8, "head_width": 8, "image_size": 8, "patch_size": 8},
    "text_cfg": {"layers": 1, "width": 8, "heads": 1, "vocab_size": 8, "context_length": 8},
}


def config_of(source: str) -> dict[str, Any]:
    """The checked configuration of ``local-dir:<folder>`` or ``hf-hub:<id>``."""
    return read_config(config_file(source, CONFIG_NAME))


def build(source: str) -> tuple[Any, Any]:
    """The network and the tokenizer of ``local-dir:<folder>`` or ``hf-hub:<id>``.

    As `open_clip.create_model` and `get_tokenizer` make them; those read the configuration again, when it may
    be another one, and take the tokenizer from the folder.

    Raises
    ------
    BackboneError
        If the configuration is refused.
    Exception
        Of any type, if weights or parts are missing or do not fit.
    """
    file = config_file(source, CONFIG_NAME)
    config = read_config(file)
    weights = weights_file(source, file, _ON_THE_HUB)
    check_weights(weights)
    model_cfg = config["model_cfg"]
    with torch.device("meta"):
        check_size(_network(_measured(model_cfg)), weights)
    network = _network(model_cfg)
    open_clip.load_checkpoint(network, str(weights), strict=True, weights_only=True)
    preprocess = merge_preprocess_dict(asdict(PreprocessCfg()), config.get("preprocess_cfg", {}))
    preprocess["size"] = getattr(network.visual, "image_size", preprocess["size"])
    set_model_preprocess_cfg(network, preprocess)
    return network, _tokenizer(model_cfg["text_cfg"])


def config_file(source: str, name: str) -> Path:
    """The configuration of a folder here or on the hub."""
    schema, _, place = source.partition(":")
    if schema == "local-dir":
        return Path(place) / name
    # Of whichever revision: it is checked as data.
    return Path(hf_hub_download(place, name))  # nosec B615


def weights_file(source: str, config: Path, names: tuple[str, ...]) -> Path:
    """The weights beside a configuration: by the first of the names that is there, or another in a folder."""
    schema, _, place = source.partition(":")
    if schema == "hf-hub":
        # Of the same commit as the configuration: the cache of the hub has a folder for each.
        commit = config.parent.name
        for name in names:
            with suppress(EntryNotFoundError):
                return Path(hf_hub_download(place, name, revision=commit))
        raise FileNotFoundError(f"{place!r} has no weights: none of {names}")
    there = sorted(file for file in config.parent.iterdir() if file.suffix in SUFFIXES)
    known = [config.parent / name for name in (*names, *_IN_A_FOLDER) if config.parent / name in there]
    others = sorted(there, key=lambda file: file.suffix != ".safetensors")
    if not there:
        raise FileNotFoundError(f"{str(config.parent)!r} has no weights: files that end in {SUFFIXES}")
    return (known or others)[0]


def _network(model_cfg: dict[str, Any]) -> Any:
    """The network of a configuration, its weights not yet loaded."""
    parts = deepcopy(model_cfg)
    vision, text = parts["vision_cfg"], parts["text_cfg"]
    if vision.get("timm_model_name"):
        vision["timm_model_pretrained"] = False
    if text.get("hf_model_name"):
        text["hf_model_pretrained"] = False
    is_custom = parts.pop("custom_text", False) or text.get("hf_model_name")
    if not is_custom:
        return open_clip.CLIP(**parts)
    return (open_clip.CoCa if "multimodal_cfg" in parts else open_clip.CustomTextCLIP)(**parts)


def _measured(model_cfg: dict[str, Any]) -> dict[str, Any]:
    """The configuration with sizes that do not come from an installed package."""
    parts = deepcopy(model_cfg)
    if parts["vision_cfg"].get("timm_model_name"):
        parts["vision_cfg"] = _SMALL["vision_cfg"]
    if parts["text_cfg"].get("hf_model_name"):
        parts["text_cfg"] = _SMALL["text_cfg"]
    return parts


def check_size(network: Any, weights: Path) -> None:
    """Refuse a network, on torch's meta device, that has more weights than the file has bytes."""
    n_weights = sum(tensor.numel() for tensor in chain(network.parameters(), network.buffers()))
    if n_weights > (size := os.stat(weights).st_size):
        raise BackboneError(
            f"The configuration of {str(weights.parent)!r} says that the model has {n_weights} weights, and "
            f"{weights.name} has {size} bytes: it belongs to another model."
        )


def _tokenizer(text_cfg: dict[str, Any]) -> Any:
    context_length = text_cfg.get("context_length", open_clip.tokenizer.DEFAULT_CONTEXT_LENGTH)
    settings = text_cfg.get("tokenizer_kwargs") or {}
    name = text_cfg.get("hf_tokenizer_name")
    if not name:
        return open_clip.SimpleTokenizer(context_length=context_length, **settings)
    return open_clip.tokenizer.HFTokenizer(
        name,
        context_length=context_length,
        tokenizer_mode=text_cfg.get("tokenizer_mode"),
        trust_remote_code=False,
        **settings,
    )
