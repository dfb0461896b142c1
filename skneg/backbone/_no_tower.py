"""CLIPN's second text tower, which reads "no" prompts [1]_: copied, loaded, saved.

References
----------
.. [1] Wang et al., "CLIPN for Zero-Shot OOD Detection: Teaching CLIP to Say No", ICCV 2023.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import nn

from .._files import open_regular, with_home, write_bytes
from .._forks import ForkLock
from ..errors import BackboneError, InputError, InputTypeError
from ._loading import Backbone
from ._pair import PairedTextTower
from ._text_tower import TextTower
from ._weights import check_weights, is_held, read_pickled

# What a text tower learns; the published checkpoint has each part as `<part>_no`.
_PARTS = ("transformer", "token_embedding", "positional_embedding", "ln_final", "text_projection")

_HELP = (
    "Download the checkpoint that the authors of CLIPN publish for this model, or train one: "
    "skneg.prompts.train_no_encoder(images, captions, out='no.safetensors')."
)

_loaded: dict[tuple[Backbone, Path], tuple[tuple[int, int], NoTower]] = {}
_lock = ForkLock()


class NoTower(TextTower):
    """A text tower for "no" prompts.

    Attributes
    ----------
    history : dict of str to ndarray of shape (n_steps,)
        Each loss term at each step of its training; empty where it was loaded.
    """

    def __init__(self, network: Any, tokenizer: Any, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(network, tokenizer, device, dtype)
        self.history: dict[str, np.ndarray] = {}


def copy_text_tower(tower: TextTower) -> NoTower:
    """A copy of a text tower with weights of its own, and without the image tower beside it.

    Raises
    ------
    BackboneError
        If the tower is not built like CLIP's own.
    """
    if isinstance(tower, PairedTextTower):
        raise BackboneError('CLIPN\'s "no" tower goes with one model: take the first of the two alone.')
    if not tower.causal or not isinstance(tower.module.text_projection, nn.Parameter):
        raise BackboneError(
            "CLIPN's \"no\" tower needs a text tower built like CLIP's own (causal, end-of-text token "
            "pooled); this model has another kind."
        )
    network = copy.deepcopy(tower._network, {id(tower._network.visual): nn.Identity()})
    # Gradients overflow in float16 without loss scaling.
    dtype = torch.float32 if tower._dtype == torch.float16 else tower._dtype
    return NoTower(network.requires_grad_(False), tower._tokenizer, tower.device, dtype)


def load_no_tower(backbone: Backbone, checkpoint: str | os.PathLike) -> NoTower:
    """Load CLIPN's "no" text tower; a second call for the same unchanged file returns the same object.

    Parameters
    ----------
    backbone : Backbone
        The model that the tower belongs to.
    checkpoint : str or path
        A checkpoint in the layout that the authors of CLIPN publish (``torch.save``), or a
        ``.safetensors`` file with the same keys, as `save_no_tower` writes it. Of the first kind only
        tensors are read: a file that holds code is refused.

    Returns
    -------
    NoTower
        The learned prompts (``prompt_no``) enter as their mean, added to the positional embeddings, as
        in the authors' inference.

    Raises
    ------
    BackboneError
        If there is no such file, it cannot be read, or a weight is missing, has another shape than the
        backbone's or is not finite; the message names it.
    """
    path = _as_path(checkpoint, "checkpoint").absolute()
    try:
        with open_regular(path) as file:
            status = os.fstat(file.fileno())
    except FileNotFoundError as error:
        raise BackboneError(f"There is no checkpoint {str(path)!r} ({error}). {_HELP}") from error
    except (OSError, ValueError) as error:  # a name that no file can have
        raise BackboneError(f"The checkpoint {str(path)!r} cannot be read ({error}). {_HELP}") from error
    stamp = (status.st_mtime_ns, status.st_size)
    with _lock.held():
        known = _loaded.get((backbone, path))
        if known is not None and known[0] == stamp:
            return known[1]
        tower = copy_text_tower(backbone.text_tower)
        _load_weights(tower, _read(path), path)
        _loaded[backbone, path] = stamp, tower
        return tower


def save_no_tower(tower: TextTower, path: str | os.PathLike) -> None:
    """Write a "no" tower as safetensors, in whole or not at all.

    Parameters
    ----------
    tower : TextTower
        From `load_no_tower` or `skneg.prompts.train_no_encoder`.
    path : str or path
        Must end in ``.safetensors``. Keys are those of the published checkpoint; the mean prompt is
        already in ``positional_embedding_no``, and ``prompt_no`` is one row of zeros.

    Raises
    ------
    InputError
        If the path has another ending, or its folder does not exist.
    PersistenceError
        If it cannot be written; what was there before is then still there.
    """
    target = check_output_path(path, "path")
    weights = {name: value.detach().cpu().contiguous() for name, value in _weights(tower).items()}
    weights["prompt_no"] = torch.zeros(1, *weights["positional_embedding_no"].shape)
    write_bytes(target, save(weights))


def check_output_path(path: str | os.PathLike, parameter: str) -> Path:
    """Where `save_no_tower` may write, or an error that says why not."""
    target = _as_path(path, parameter)
    if target.suffix != ".safetensors":
        raise InputError(f"{parameter}={str(target)!r} must end in '.safetensors'.")
    if not os.path.isdir(target.parent):
        raise InputError(f"{parameter}: the folder {str(target.parent)!r} does not exist.")
    return target


def _as_path(path: Any, parameter: str) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise InputTypeError(f"{parameter} must be a path, got a {type(path).__name__}.")
    return Path(with_home(path))


def _weights(tower: TextTower) -> dict[str, torch.Tensor]:
    """The tower's parameters under their published names."""
    named = {}
    for name, parameter in tower.module.named_parameters():
        part, dot, rest = name.partition(".")
        if part in _PARTS:
            named[f"{part}_no{dot}{rest}"] = parameter
    return named


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.suffix == ".safetensors":
            check_weights(path)
            with safe_open(path, framework="pt") as file:
                return {key: file.get_tensor(key) for key in file.keys() if "_no" in key}  # noqa: SIM118
        held = read_pickled(path)
    except MemoryError:
        raise
    except Exception as error:  # readers raise a dozen types for what is one fact: not such a file
        raise BackboneError(
            f"The checkpoint {str(path)!r} could not be read ({type(error).__name__}: {error}). {_HELP}"
        ) from error
    state = held.get("state_dict", held) if isinstance(held, dict) else None
    if not isinstance(state, dict):
        raise BackboneError(f"The checkpoint {str(path)!r} holds no dict of weights. {_HELP}")
    return {str(key).removeprefix("module."): value for key, value in state.items()}


def _load_weights(tower: TextTower, state: dict[str, Any], path: Path) -> None:
    expected = _weights(tower)
    for key, parameter in expected.items():
        _check_weight(state, key, tuple(parameter.shape), path)
    length, width = expected["positional_embedding_no"].shape
    _check_weight(state, "prompt_no", (None, length, width), path)
    for key in state:
        if key.startswith("transformer_no.") and key not in expected:
            raise BackboneError(
                f"The checkpoint {str(path)!r} has {key!r}, which the text tower of this model has not: "
                "it belongs to another model."
            )
    with torch.no_grad():
        for key, parameter in expected.items():
            value = state[key].float()
            if key == "positional_embedding_no":
                value = value + state["prompt_no"].float().mean(dim=0)
            parameter.copy_(value)
    if not np.allclose(np.linalg.norm(tower.encode(["a"]), axis=1), 1, atol=1e-2):  # an overflow
        raise BackboneError(
            f"The checkpoint {str(path)!r} gives embeddings that have not length 1: its weights are damaged."
        )


def _check_weight(state: dict[str, Any], key: str, shape: tuple[int | None, ...], path: Path) -> None:
    value = state.get(key)
    if not isinstance(value, torch.Tensor):
        raise BackboneError(f"The checkpoint {str(path)!r} has no weight {key!r}. {_HELP}")
    found = tuple(value.shape)
    fits = len(found) == len(shape) and all(
        n == m or (m is None and n > 0) for n, m in zip(found, shape, strict=True)
    )
    if not fits:
        wanted = tuple("any" if n is None else n for n in shape)
        raise BackboneError(
            f"In the checkpoint {str(path)!r}, {key!r} has shape {found}; this model needs {wanted}."
        )
    if not is_held(value):
        raise BackboneError(
            f"In the checkpoint {str(path)!r}, {key!r} has fewer numbers than its shape says."
        )
    if not bool(torch.isfinite(value).all()):
        raise BackboneError(f"In the checkpoint {str(path)!r}, {key!r} holds NaN or infinite values.")
