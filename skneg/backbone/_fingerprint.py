"""What tells one backbone from another, whatever its name, its folder and its device."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator
from typing import Any

import torch


def hash_weights(network: torch.nn.Module) -> str:
    """The sha256 of the names, shapes and values of a network's weights.

    Floating-point weights count as float32, in which `load_backbone` holds them on every device.
    """
    sha = hashlib.sha256()
    for head, values in _bytes_of(network):
        sha.update(head)
        sha.update(values)
    return sha.hexdigest()


def checksum_of_text(network: torch.nn.Module) -> int:
    """A checksum of all weights but the image tower's, against accidents and not against malice.

    For ViT-B/16 it takes 0.06 processor seconds, and the sha256 of all weights 0.34: more than reading
    the embeddings of a word list that are kept under it.
    """
    checksum = 0
    for head, values in _bytes_of(network, but="visual."):
        checksum = zlib.crc32(values, zlib.crc32(head, checksum))
    return checksum


def _bytes_of(network: torch.nn.Module, but: str | None = None) -> Iterator[tuple[bytes, Any]]:
    """Name and shape, and values, of each weight whose name does not begin with `but`."""
    for name, tensor in sorted(network.state_dict().items()):
        if but is not None and name.startswith(but):
            continue
        values = tensor.detach().cpu()
        values = (values.float() if values.is_floating_point() else values.long()).contiguous()
        head = json.dumps([name, list(values.shape)]).encode()
        yield head, memoryview(values.numpy()).cast("B") if values.numel() else b""


def settings_of(network: Any) -> dict[str, Any]:
    """What the same weights need to be the same function: how images are prepared, which activation."""
    activations = {type(module).__name__ for module in network.modules()}
    settings = {
        **network.visual.preprocess_cfg,
        "activation": sorted(name for name in activations if name.endswith("GELU")),
    }
    return json.loads(json.dumps(settings))  # tuples as a file will give them back
