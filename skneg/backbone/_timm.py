"""Image models of timm: by name, or from a folder whose configuration is data.

Of a configuration in timm's layout (``config.json``) only what stands here is read: an architecture of the
installed package; arguments of it that are numbers, switches and words of a list; how images are prepared.
Where weights come from, which such a file may say too, is not looked at.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from timm.data import resolve_data_config

from .._utils import did_you_mean
from ..errors import BackboneError
from ._config import read_json
from ._folder import check_size, config_file, weights_file
from ._names import absolute
from ._own_randomness import NothingDrawn
from ._preparation import Preparation
from ._weights import check_weights, read_pickled

CONFIG_NAME = "config.json"
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_MOST_VALUES = 2**18  # of a configuration: those of models of 21,000 classes may name them all

OFFLINE_HELP = (
    "Without a network: copy the model's folder (config.json and model.safetensors) to this machine and pass "
    "model='local-dir:/path/to/folder' to TimmImageEncoder, or model='timm:local-dir:/path/to/folder' to a "
    "detector."
)

# What `model_args` may say. Sizes such as depth and width come from the architecture's name.
_LARGEST_IMAGE = 4096  # pixels a side; the largest in timm is 1024
_SWITCHES = {
    "class_token", "dynamic_img_pad", "dynamic_img_size", "fc_norm", "final_norm", "no_embed_class",
    "pre_norm", "qk_norm", "qkv_bias", "strict_img_size", "use_fc_norm",
}  # fmt: skip
_RATES = {"attn_drop_rate", "drop_path_rate", "drop_rate", "pos_drop_rate", "proj_drop_rate"}  # training
_WORDS = {
    "act_layer": {"gelu", "gelu_tanh", "quick_gelu", "relu", "silu", "swish"},
    "global_pool": {"avg", "avgmax", "catavgmax", "map", "max", "token"},
    "crop_mode": {"border", "center", "squash"},
    "interpolation": {"bicubic", "bilinear", "lanczos", "nearest"},
}
_PREPARATION = ("input_size", "interpolation", "crop_pct", "crop_mode", "mean", "std")


class ImageNetwork(torch.nn.Module):
    """A timm model in the place of an open_clip network that has no text half.

    Attributes
    ----------
    visual : Module
        The model, without its classifier.
    preparation : Preparation
        How images are prepared for it.
    """

    def __init__(self, visual: Any, config: dict[str, Any], more: dict[str, Any]) -> None:
        super().__init__()
        visual.reset_classifier(0)
        self.visual = visual
        self.preparation = Preparation.of_timm(config)
        # What the weights do not say of the function: see `settings_of`.
        visual.preprocess_cfg = {**config, **more}

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        """Features (n, d) of prepared images (n, 3, height, width)."""
        return self.visual(pixels)


def build(source: str) -> ImageNetwork:
    """The network of a name of timm, ``local-dir:<folder>`` or ``hf-hub:<id>``.

    Raises
    ------
    BackboneError
        If there is no such name, or the configuration is refused.
    Exception
        Of any type, if weights are missing or do not fit.
    """
    if not _is_folder(source):
        with NothingDrawn():  # where timm would leave a weight that a checkpoint lacks as it was drawn
            model = timm.create_model(source, pretrained=True)
        for name, tensor in model.state_dict().items():
            if bool(torch.isnan(tensor).any()):
                raise ValueError(f"its weights lack {name!r}, or hold NaN in it")
        config = resolve_data_config({}, model=model)
        return ImageNetwork(model, config, {"architecture": source.partition(".")[0]})
    file = config_file(source, CONFIG_NAME)
    architecture, arguments, config = _read_config(file)
    weights = weights_file(source, file, _WEIGHTS)
    check_weights(weights)
    with torch.device("meta"):
        check_size(timm.create_model(architecture, **arguments), weights)
    model = timm.create_model(architecture, **arguments)
    model.load_state_dict(_state_of(weights), strict=True)
    of_function = {name: value for name, value in arguments.items() if name != "num_classes"}
    return ImageNetwork(model, config, {"architecture": architecture, "model_args": of_function})


def check_name(source: str) -> None:
    """Refuse, before any work, what is neither a name with weights nor a folder."""
    schema, _, place = source.partition(":")
    if schema == "local-dir" and not (Path(place) / CONFIG_NAME).is_file():
        raise BackboneError(f"The folder {place!r} does not exist or has no {CONFIG_NAME}. {OFFLINE_HELP}")
    if _is_folder(source):
        return
    known = _names()
    if source not in known:
        is_there = timm.is_model(source.partition(".")[0])
        hint = " It has weights of another name, or none." if is_there else ""
        hint += f" Write local-dir:{source} for a folder." if Path(source).is_dir() else ""
        hint += did_you_mean(source, known)
        raise BackboneError(f"timm has no weights for a model {source!r}.{hint} {OFFLINE_HELP}")


def hub_files(source: str) -> tuple[str, list[str]]:
    """Repository and names of the weights on the hub; none where they lie elsewhere."""
    if source.startswith("hf-hub:"):
        return source.removeprefix("hf-hub:"), list(_WEIGHTS)
    config = timm.get_pretrained_cfg(source)
    name = config and config.hf_hub_filename
    return (config and config.hf_hub_id) or "", [name] if name else list(_WEIGHTS)


def width_of(source: str) -> int:
    """Length of a model's features; no weights are loaded."""
    source = absolute(source)
    if _is_folder(source):
        architecture, arguments, config = _read_config(config_file(source, CONFIG_NAME))
        return _width(architecture, json.dumps(arguments), tuple(config["input_size"]))
    check_name(source)
    return _width(source, "{}", None)


@cache
def _width(architecture: str, arguments: str, input_size: tuple[int, ...] | None) -> int:
    with torch.device("meta"), torch.inference_mode():
        model: Any = timm.create_model(architecture, **json.loads(arguments)).eval()
        model.reset_classifier(0)
        pixels = torch.empty(1, *(input_size or resolve_data_config({}, model=model)["input_size"]))
        return int(model(pixels).shape[1])


@cache
def _names() -> frozenset[str]:
    """Models of the installed package that have weights, with and without a tag."""
    tagged = timm.list_pretrained()
    return frozenset([*tagged, *(name.partition(".")[0] for name in tagged)])


def _is_folder(source: str) -> bool:
    return source.startswith(("local-dir:", "hf-hub:"))


def _state_of(weights: Path) -> dict[str, Any]:
    if weights.suffix == ".safetensors":
        return load_file(weights)
    held = read_pickled(weights)
    return held.get("state_dict", held)


def _read_config(file: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Architecture, its arguments, and how images are prepared."""
    config = read_json(file, _MOST_VALUES)
    try:
        if not isinstance(config, dict):
            raise ValueError("it is no object of names and values")
        prepared = config.get("pretrained_cfg", config)  # older files have one level
        arguments = config.get("model_args", {})
        for what, value in (("pretrained_cfg", prepared), ("model_args", arguments)):
            if not isinstance(value, dict):
                raise ValueError(f"{what} is {value!r:.100}, not an object of names and values")
        architecture = config.get("architecture")
        if not isinstance(architecture, str) or not timm.is_model(architecture):
            raise ValueError(f"architecture is {architecture!r:.100}, which is not in timm.list_models()")
        for name, value in arguments.items():
            _check_argument(name, value)
        classes = config.get("num_classes", prepared.get("num_classes", 1000))
        arguments = {"num_classes": classes, **arguments}
        _check_argument("num_classes", arguments["num_classes"])
        given = {name: prepared[name] for name in _PREPARATION if prepared.get(name) is not None}
        size = arguments.get("img_size")
        if size is not None and prepared.get("fixed_input_size"):
            given["input_size"] = [3, size, size] if isinstance(size, int) else [3, *size]
        for name, value in given.items():
            _check_preparation(name, value)
        given = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
        # timm's own defaults, and not those of the architecture, where the file says nothing.
        return architecture, arguments, resolve_data_config({}, pretrained_cfg=given or {"crop_pct": None})
    except ValueError as error:
        raise BackboneError(
            f"The configuration {str(file)!r} is refused: {error}. A model folder is data, and may name "
            "nothing but code of the installed packages (docs/security.md)."
        ) from error


def _check_argument(name: str, value: Any) -> None:
    where = f"model_args.{name}"
    if name in ("act_layer", "global_pool"):
        _check_word(name, value, where)
    elif name in _SWITCHES:
        _check(where, value, value is None or isinstance(value, bool), "true or false")
    elif name in _RATES or name == "init_values":
        _check(where, value, value is None or _is_number(value, 0, 1), "a number from 0 to 1")
    elif name == "img_size":
        sides = value if isinstance(value, list) and len(value) == 2 else [value]
        fits = all(type(side) is int and 0 < side <= _LARGEST_IMAGE for side in sides)
        _check(where, value, fits, f"one or two sizes up to {_LARGEST_IMAGE}")
    elif name == "in_chans":
        _check(where, value, value == 3, "3")
    elif name == "num_classes":
        _check(name, value, type(value) is int and 0 <= value < 2**20, "a number of classes")
    else:
        allowed = sorted([*_SWITCHES, *_RATES, "act_layer", "global_pool", "img_size", "init_values"])
        raise ValueError(f"{where} is not allowed; model_args may have {allowed}")


def _check_preparation(name: str, value: Any) -> None:
    if name in _WORDS:
        _check_word(name, value, name)
    elif name == "crop_pct":
        _check(name, value, _is_number(value, 0.1, 2), "a number from 0.1 to 2")
    elif not isinstance(value, list) or len(value) != 3:
        raise ValueError(f"{name} is {value!r:.100}, not three numbers")
    elif name == "input_size":
        fits = value[0] == 3 and all(type(side) is int and 0 < side <= _LARGEST_IMAGE for side in value)
        _check(name, value, fits, f"3 channels and two sizes up to {_LARGEST_IMAGE}")
    else:
        least = 1e-3 if name == "std" else -10
        _check(name, value, all(_is_number(part, least, 10) for part in value), f"numbers from {least} to 10")


def _check_word(name: str, value: Any, where: str) -> None:
    fits = isinstance(value, str) and value in _WORDS[name]
    _check(where, value, fits, f"one of {sorted(_WORDS[name])}")


def _check(name: str, value: Any, fits: bool, what: str) -> None:
    if not fits:
        raise ValueError(f"{name} is {value!r:.100}; allowed is {what}")


def _is_number(value: Any, least: float, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
