"""What tells one backbone from another, whatever its name, its folder and its device."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch


def hash_weights(network: torch.nn.Module) -> str:
    """The sha256 of the names, shapes and values of a network's weights.

    Floating-point weights count as float32, in which `load_backbone` holds them on every device.
    """
    sha = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        values = tensor.detach().cpu()
        values = (values.float() if values.is_floating_point() else values.long()).contiguous()
        sha.update(json.dumps([name, list(values.shape)]).encode())
        sha.update(memoryview(values.numpy()).cast("B") if values.numel() else b"")
    return sha.hexdigest()


def settings_of(network: Any) -> dict[str, Any]:
    """What the same weights need to be the same function: how images are prepared, which activation."""
    activations = {type(module).__name__ for module in network.modules()}
    settings = {
        **network.visual.preprocess_cfg,
        "activation": sorted(name for name in activations if name.endswith("GELU")),
    }
    return json.loads(json.dumps(settings))  # tuples as a file will give them back
