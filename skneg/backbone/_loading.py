"""open_clip models by name, loaded once per process."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import open_clip
import timm
import torch
from huggingface_hub import constants
from huggingface_hub.utils import get_session
from PIL import Image

from .._forks import ForkLock, cached_property
from .._utils import check_option, did_you_mean
from ..errors import BackboneError, InputError
from . import _timm
from ._download import announce_download, hub_files
from ._fingerprint import checksum_of_text, hash_weights, settings_of
from ._folder import build
from ._forked import prepare_for_forks, refuse_gpu_after_fork
from ._image_tower import ImageTower
from ._names import TIMM, absolute, names_of_pair
from ._own_randomness import OwnRandomness
from ._pair import PairedImageTower, PairedTextTower
from ._text_tower import NoTextTower, TextTower
from ._tiny import TINY_NAME, verified_tiny_folder
from ._weights import check_weights

# The weights the paper uses, for users who name the architecture alone.
DEFAULT_PRETRAINED = {"ViT-B-16": "laion2b_s34b_b88k"}

_OFFLINE_HELP = (
    "Without a network: copy the model's folder (open_clip_config.json and "
    "open_clip_model.safetensors) to this machine and pass model='local-dir:/path/to/folder', or pass "
    "pretrained='/path/to/checkpoint'. model='skneg-tiny' ships with skneg and needs no download."
)

_PATIENCE = 5  # seconds

GREY = Image.new("RGB", (32, 32), "grey")  # to try a model out with

_PRECISIONS = ("auto", "fp32", "bf16", "fp16")

_loaded: dict[tuple, Backbone] = {}
_lock = ForkLock()


@dataclass(frozen=True)
class Backbone:
    """A frozen CLIP model, as its two towers; or an image model of timm, which has no text tower.

    Attributes
    ----------
    name : str
        What it was loaded as: ``model`` or ``model/pretrained``.
    image_tower : ImageTower
        Images to embeddings.
    text_tower : TextTower
        Prompts to embeddings. Of a model of timm, whatever is asked of it is a `BackboneError`.
    """

    name: str
    image_tower: ImageTower
    text_tower: TextTower

    @cached_property
    def weights_sha256(self) -> str:
        """The sha256 of the weights' names, shapes and values: the same on every device, in every folder."""
        return hash_weights(self.image_tower._network)

    @cached_property
    def text_checksum(self) -> int:
        """A checksum of the text tower's weights; see `weights_sha256` for one that holds against malice."""
        return checksum_of_text(self.text_tower._network)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """How images are prepared and which activation the towers have, as JSON values."""
        return settings_of(self.image_tower._network)


@dataclass(frozen=True)
class _Pair(Backbone):
    """Two models as one; see `skneg.backbone._pair`."""

    models: tuple[Backbone, Backbone]

    @cached_property
    def weights_sha256(self) -> str:
        return sha256("".join(model.weights_sha256 for model in self.models).encode()).hexdigest()

    @cached_property
    def text_checksum(self) -> int:
        # Another than that of CLIP alone, whose embeddings are shorter.
        return crc32(str(self.text_tower.embed_dim).encode(), self.models[0].text_checksum)

    @cached_property
    def settings(self) -> dict[str, Any]:
        return {**self.models[0].settings, "second": self.models[1].settings}


def load_backbone(
    model: str = "ViT-B-16",
    pretrained: str | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> Backbone:
    """Load a model of open_clip or timm; a second call with the same arguments returns the same object.

    Parameters
    ----------
    model : str, default="ViT-B-16"
        ``"skneg-tiny"`` (ships with skneg), an open_clip model name, ``"hf-hub:<id>"`` or
        ``"local-dir:<folder>"``. Nothing in a folder is run, and what its configuration may say is a list:
        docs/security.md. ``"timm:<model>"`` is a model of timm, as `skneg.TimmImageEncoder` takes it, without
        a text tower; ``"<model>+timm:<model>"`` are both, side by side (docs/image-models.md).
    pretrained : str, optional
        A pretrained tag of open_clip or a checkpoint file, for plain model names. None means
        ``"laion2b_s34b_b88k"`` for ViT-B-16, as in the paper; other names need one. A bare checkpoint
        file carries no preprocessing, so open_clip's defaults (OpenAI's mean and std, bicubic) are
        used with it.
    device : str, default="auto"
        A torch device; ``"auto"`` takes CUDA, then Apple's MPS, then the CPU.
    precision : {"auto", "fp32", "bf16", "fp16"}, default="auto"
        Autocast precision of the towers; weights stay float32. ``"auto"`` is float32 on a CPU or MPS,
        bfloat16 on CUDA (float16 where the GPU has no bfloat16).

    Returns
    -------
    Backbone

    Raises
    ------
    BackboneError
        If the model cannot be had; says what to do offline.
    InputError
        If a parameter is not usable.

    Examples
    --------
    >>> from skneg.backbone import load_backbone
    >>> backbone = load_backbone("skneg-tiny")
    >>> backbone.text_tower.embed_dim
    128
    """
    if not isinstance(model, str) or not model:
        raise InputError(f"model must be the name of an open_clip model, got {model!r}.")
    if parts := names_of_pair(model):
        return _load_pair(parts, pretrained, device, precision)
    model = absolute(model)
    if pretrained is None:
        pretrained = DEFAULT_PRETRAINED.get(model)
    elif isinstance(pretrained, str | os.PathLike):
        pretrained = os.fspath(pretrained)
    else:
        raise InputError(f"pretrained must be a tag of open_clip or a checkpoint file, got {pretrained!r}.")
    chosen_device = resolve_device(device)
    dtype = _resolve_precision(precision, chosen_device)
    key = (model, pretrained, str(chosen_device), dtype)
    with _lock.held():
        if key not in _loaded:
            _loaded[key] = _load(model, pretrained, chosen_device, dtype)
        return _loaded[key]


def _load_pair(names: tuple[str, str], pretrained: str | None, device: str, precision: str) -> Backbone:
    first = load_backbone(names[0], pretrained, device, precision)
    second = load_backbone(names[1], None, device, precision)
    name, tower = f"{first.name}+{second.name}", first.image_tower
    key = (name, pretrained, str(tower._device), tower._dtype)
    with _lock.held():
        if key not in _loaded:
            text_tower = first.text_tower
            if isinstance(text_tower, TextTower):
                width = second.image_tower.encode([GREY]).shape[1]
                text_tower = PairedTextTower(text_tower, width)
            image_tower: Any = PairedImageTower(tower, second.image_tower)
            _loaded[key] = _Pair(name, image_tower, text_tower, (first, second))
        return _loaded[key]


def list_models() -> list[tuple[str, str]]:
    """Names of models, as `model`, each with weights that can be had, as `pretrained`, or what it is."""
    of_timm = [(f"{TIMM}{name}", "an image model of timm; reads no names") for name in timm.list_pretrained()]
    return [
        (TINY_NAME, "shipped with skneg; knows drawn shapes only"),
        *open_clip.list_pretrained(),
        *of_timm,
    ]


def resolve_device(device: str) -> torch.device:
    """The torch device of a `device` parameter; an `InputError` where this machine has none such."""
    refuse_gpu_after_fork(str(device))
    if isinstance(device, str) and device == "auto":  # an array has no truth of its own
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.ones(1, device=resolved).item()
    except Exception as error:  # torch raises another type for every kind of missing device
        raise InputError(
            f"device={device!r} cannot be used on this machine ({error}); use device='auto'."
        ) from error
    return resolved


def _resolve_precision(precision: str, device: torch.device) -> torch.dtype:
    check_option("precision", precision, _PRECISIONS)
    if precision == "auto":
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def _load(model: str, pretrained: str | None, device: torch.device, dtype: torch.dtype) -> Backbone:
    source = model
    if model == TINY_NAME:
        source = f"local-dir:{verified_tiny_folder()}"
    of_timm = source.removeprefix(TIMM) if source.startswith(TIMM) else None
    has_schema = source.startswith(("local-dir:", "hf-hub:", TIMM))
    _check_names(source, pretrained, has_schema)
    name = model if pretrained is None else f"{model}/{pretrained}"
    is_local = (of_timm or source).startswith("local-dir:")
    is_local = is_local or (pretrained is not None and os.path.isfile(pretrained))
    is_cut_off = not is_local and not _hub_answers()
    if not (is_local or is_cut_off):
        announce_download(*(_timm.hub_files(of_timm) if of_timm else hub_files(source, pretrained)))
    way_out = _timm.OFFLINE_HELP if of_timm else _OFFLINE_HELP
    try:
        with OwnRandomness(), _quiet_open_clip(), _from_cache_alone() if is_cut_off else nullcontext():
            if of_timm:
                network, tokenizer = _timm.build(of_timm), None
            else:
                network, tokenizer = build(source) if has_schema else _create(source, pretrained)
            prepare_for_forks(device)
            network.eval().requires_grad_(False).to(device)
            image_tower = ImageTower(network, device, dtype, getattr(network, "preparation", None))
            text_tower: Any = NoTextTower(name)
            if not of_timm:
                text_tower = TextTower(network, tokenizer, device, dtype)
            if model != TINY_NAME:
                _try_out(image_tower, None if of_timm else text_tower)
    except (MemoryError, BackboneError):
        raise
    except Exception as error:  # open_clip raises a dozen types for what is one fact: no such model
        if is_cut_off:
            raise BackboneError(
                f"The model {name!r} could not be loaded.\nIt is not on this machine, and "
                f"{constants.ENDPOINT} does not answer.\n{way_out}"
            ) from None
        raise BackboneError(
            f"The model {name!r} could not be loaded ({type(error).__name__}: {error}). {way_out}"
        ) from error
    return Backbone(name, image_tower, text_tower)


def _try_out(image_tower: ImageTower, text_tower: TextTower | None) -> None:
    """Refuse a model whose configuration and weights fit each other, but not what it is for."""
    image = image_tower.encode([GREY])
    if image.ndim != 2:
        raise ValueError(f"of an image it gives numbers of shape {image.shape[1:]}, not one row")
    text = image if text_tower is None else text_tower.encode(["a"])
    if image.shape != text.shape:
        raise ValueError(f"images have {image.shape[1]} numbers, and texts {text.shape[1]}")
    if not np.allclose(np.linalg.norm([image[0], text[0]], axis=1), 1, atol=1e-2):  # NaN, or from an overflow
        raise ValueError("its embeddings have not length 1: its weights are damaged")


def _create(source: str, pretrained: str | None) -> tuple[Any, Any]:
    """The network and the tokenizer of one of open_clip's own models."""
    if pretrained is not None and os.path.isfile(pretrained):
        check_weights(pretrained)
    network = open_clip.create_model(
        source,
        pretrained=pretrained,
        device="cpu",
        precision="fp32",
        require_pretrained=True,
        weights_only=True,
    )
    return network, open_clip.get_tokenizer(source)


def _hub_answers() -> bool:
    """Whether models can be downloaded; asked once, since the download itself asks again and again."""
    try:
        get_session().head(constants.ENDPOINT, timeout=_PATIENCE)
    except Exception:  # of whatever library the hub's client uses
        return False
    return True


@contextmanager
def _from_cache_alone():
    """Within this context the hub's client looks at the cache, and tries no network."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _check_names(source: str, pretrained: str | None, has_schema: bool) -> None:
    """Refuse, before any work, what open_clip would answer late or only log."""
    if has_schema:
        if pretrained is not None:
            raise InputError(
                f"pretrained={pretrained!r} is not used with model={source!r}, which has its own "
                "weights; leave it out."
            )
        if source.startswith(TIMM):
            _timm.check_name(source.removeprefix(TIMM))
        if source.startswith("local-dir:"):
            folder = Path(source.removeprefix("local-dir:"))
            if not os.path.isfile(folder / "open_clip_config.json"):
                raise BackboneError(
                    f"The folder {str(folder)!r} does not exist or has no open_clip_config.json. "
                    f"{_OFFLINE_HELP}"
                )
        return
    known = open_clip.list_models()
    if source.replace("/", "-") not in known:
        is_folder = os.path.isdir(source)
        hint = (
            f" Write local-dir:{source} for a folder."
            if is_folder
            else did_you_mean(source, [*known, TINY_NAME])
        )
        raise BackboneError(f"open_clip has no model {source!r}.{hint} {_OFFLINE_HELP}")
    tags = open_clip.list_pretrained_tags_by_model(source.replace("/", "-"))
    if pretrained is None:
        raise InputError(f"model={source!r} needs pretrained=, a checkpoint file or one of {tags}.")
    if pretrained not in tags and not os.path.isfile(pretrained):
        raise BackboneError(
            f"pretrained={pretrained!r} is neither a file on this machine nor one of {tags}. {_OFFLINE_HELP}"
        )


@contextmanager
def _quiet_open_clip():
    """Keep open_clip's messages to the root logger out of the user's program; errors are raised anyway."""
    root = logging.getLogger()

    def not_open_clip(record: logging.LogRecord) -> bool:
        return os.path.basename(os.path.dirname(record.pathname)) != "open_clip"

    handlers = list(root.handlers)
    # With no handler at all, logging.warning() would install one in the user's process.
    placeholder = logging.NullHandler()
    root.addHandler(placeholder)
    for handler in handlers:
        handler.addFilter(not_open_clip)
    try:
        yield
    finally:
        root.removeHandler(placeholder)
        for handler in handlers:
            handler.removeFilter(not_open_clip)
