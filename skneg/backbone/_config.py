"""What the configuration of a model folder may say: an allow-list, since a folder is data.

A configuration of open_clip names an architecture and a tokenizer, and some names lead to code that is not in
the installed packages: the tokenizer of a folder is run by transformers, with the folder's own Python files
where ``trust_remote_code`` is set; ``timm_model_name`` may name a repository. So only what was read in the
source of open_clip 3.3 and found to choose among the packages' own code is let through. What a later version
adds is refused until it is added here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import open_clip

from .._files import read_regular
from .._json import parse_json
from ..errors import BackboneError

CONFIG_NAME = "open_clip_config.json"

_A_VALUE = 16  # bytes at most, in the mean
_LONGEST_TEXT = 100  # characters

# The largest number for a size: open_clip's largest vocabulary has 256,000 words. The sizes together are
# compared with the file of weights, where they are built.
_LARGEST = 2**20
_MOST_LAYERS = 256  # the most in open_clip are 56; each costs time even where it has no weights
_LONGEST_CONTEXT = 4096  # tokens; its square is a matrix that is in no file. The longest in open_clip is 77.

# Numbers and switches of transformers, by the dataclasses of open_clip's model.py.
_BLOCKS = {
    "act_kwargs", "block_type", "final_ln_after_pool", "layers", "ls_init_value", "mlp_ratio", "norm_kwargs",
    "output_tokens", "pool_type", "qk_norm", "scale_attn", "scale_attn_inner", "scale_fc", "scale_heads",
    "scaled_cosine_attn", "width",
}  # fmt: skip
_TEXT = _BLOCKS | {
    "context_length", "embed_cls", "eos_id", "heads", "no_causal_mask", "pad_id", "proj_bias", "proj_type",
    "vocab_size",
}  # fmt: skip
_KEYS: dict[str, set[str]] = {
    "": {"model_cfg", "preprocess_cfg"},
    "model_cfg": {
        "custom_text", "embed_dim", "init_logit_bias", "init_logit_scale", "multimodal_cfg",
        "nonscalar_logit_scale", "quick_gelu", "text_cfg", "vision_cfg",
    },
    # Images are prepared by open_clip's own code, which these tell sizes, colours and the kind of resizing.
    "preprocess_cfg": {"fill_color", "interpolation", "mean", "mode", "resize_mode", "size", "std"},
    "vision_cfg": _BLOCKS | {
        "attentional_pool", "attn_pooler_heads", "attn_pooler_queries", "head_width", "image_size",
        "no_ln_pre", "patch_dropout", "patch_size", "pos_embed_type",
        "timm_drop", "timm_drop_path", "timm_model_name", "timm_model_pretrained", "timm_pool", "timm_proj",
        "timm_proj_bias",
    },
    "text_cfg": _TEXT | {
        "hf_model_name", "hf_model_pretrained", "hf_pooler_type", "hf_proj_type", "hf_tokenizer_name",
        "tokenizer_kwargs", "tokenizer_mode",
    },
    "multimodal_cfg": _TEXT | {"attn_pooler_heads", "dim_head", "n_queries"},
    # How text is cleaned before it is cut into tokens. Not `bpe_path`, which opens any file;
    # `additional_special_tokens`, which become part of a regular expression; `trust_remote_code`, which runs
    # the folder's code; and all else that would reach transformers.
    "tokenizer_kwargs": {"clean", "strip_sep_token"},
    "act_kwargs": {"approximate"},  # of torch's GELU
    "norm_kwargs": {"eps"},  # of torch's LayerNorm
}  # fmt: skip

# Values of which others exist, or whose code does more than choose.
_VALUES: dict[str, set[Any]] = {
    "clean": {"canonicalize", "lower", "whitespace"},
    "tokenizer_mode": {None, "clips"},
    "mode": {"RGB"},
}


def read_config(file: Path) -> dict[str, Any]:
    """The configuration of a model folder, found to name nothing but code of the installed packages.

    Raises
    ------
    BackboneError
        If it cannot be read, or says something that is not allowed; names it, and what is allowed.
    """
    config = read_json(file, 2**12)
    try:
        _check(config, "", "")
        for part in ("model_cfg", "text_cfg", "vision_cfg"):
            if not isinstance((config if part == "model_cfg" else config["model_cfg"]).get(part), dict):
                raise ValueError(f"it has no {part}")
        if type(config["model_cfg"].get("embed_dim")) is not int:
            raise ValueError("it has no embed_dim")
    except ValueError as error:
        raise BackboneError(
            f"The configuration {str(file)!r} is refused: {error}. A model folder is data, and may name "
            "nothing but code of the installed packages (docs/security.md)."
        ) from error
    return config


def read_json(file: Path, max_values: int) -> Any:
    """What a configuration file holds; a `BackboneError` where it cannot be read."""
    try:
        return parse_json(read_regular(file, _A_VALUE * max_values), "it", max_values, max_depth=8)
    except (OSError, ValueError) as error:
        raise BackboneError(f"The configuration {str(file)!r} cannot be read: {error}.") from error


def _check(values: Any, section: str, where: str) -> None:
    """Refuse what a section of the configuration may not say."""
    if not isinstance(values, dict):
        raise ValueError(f"{where or 'it'} is {values!r}, not an object of names and values")
    for key, value in values.items():
        path = f"{where}.{key}" if where else key
        if key not in _KEYS[section]:
            raise ValueError(f"{path} is not allowed; {where or 'it'} may have {sorted(_KEYS[section])}")
        if key in _KEYS:
            if value is not None or key not in ("act_kwargs", "norm_kwargs", "tokenizer_kwargs"):
                _check(value, key, path)
        else:
            _check_value(key, value, path)


def _check_value(key: str, value: Any, path: str) -> None:
    allowed: Collection[Any] | None = _NAMES[key]() if key in _NAMES and value else _VALUES.get(key)
    if allowed is not None and (isinstance(value, list | dict) or value not in allowed):
        named = sorted(map(str, allowed))
        told = named if len(named) <= 60 else f"one of the {len(named)} of timm.list_models()"
        raise ValueError(f"{path} is {value!r}; allowed is {told}")
    largest = {"layers": _MOST_LAYERS, "context_length": _LONGEST_CONTEXT}.get(key, _LARGEST)
    for item in value if isinstance(value, list) and len(value) <= 4 else [value]:
        is_number = isinstance(item, int | float) and abs(item) <= largest  # neither is infinity, nor NaN
        is_text = isinstance(item, str) and len(item) <= _LONGEST_TEXT
        if not (item is None or is_number or is_text):
            raise ValueError(
                f"{path} is {str(value)[:_LONGEST_TEXT]}, which is no number of at most {largest}"
            )


@cache
def _built_in(key: str) -> frozenset[str]:
    """What open_clip's own models name there, which whoever installed it trusts."""
    configs = [open_clip.get_model_config(name) for name in open_clip.list_models()]
    return frozenset(str(config["text_cfg"].get(key)) for config in configs) - {"None"}


@cache
def _timm_models() -> frozenset[str]:
    """Architectures of timm's registry: code of the package. `hf-hub:` names and paths reach elsewhere."""
    import timm

    return frozenset([*timm.list_models(), *timm.list_pretrained()])


_NAMES: Mapping[str, Callable[[], frozenset[str]]] = {
    # Read by transformers, from the hub and never from the model's folder, and without their code.
    "hf_tokenizer_name": lambda: _built_in("hf_tokenizer_name"),
    "hf_model_name": lambda: _built_in("hf_model_name"),
    "timm_model_name": _timm_models,
}
