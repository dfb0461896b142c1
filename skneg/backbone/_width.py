"""How wide a model's embeddings are, without its weights."""

from __future__ import annotations

from contextlib import suppress

import open_clip

from ._folder import config_of
from ._loading import GREY, load_backbone
from ._names import TIMM, absolute, names_of_pair
from ._timm import width_of
from ._tiny import TINY_FOLDER, TINY_NAME


def embedding_width(model: str, pretrained: str | None = None) -> int:
    """Length of a model's embeddings, read off its configuration.

    The weights are loaded only where there is no configuration to read: then that says what is wrong.

    Parameters
    ----------
    model, pretrained
        See `skneg.backbone.load_backbone`.

    Raises
    ------
    BackboneError
        If the model cannot be had.
    """
    if parts := names_of_pair(model):
        return embedding_width(parts[0], pretrained) + embedding_width(parts[1])
    with suppress(Exception):  # open_clip raises a dozen types for what is one fact: no such model
        source = f"local-dir:{TINY_FOLDER}" if model == TINY_NAME else absolute(model)
        if source.startswith(TIMM):
            return width_of(source.removeprefix(TIMM))
        if source.startswith(("local-dir:", "hf-hub:")):
            return int(config_of(source)["model_cfg"]["embed_dim"])
        config = open_clip.get_model_config(source) or open_clip.get_model_config(source.replace("/", "-"))
        return int(config["embed_dim"])
    tower = load_backbone(model, pretrained, device="cpu").image_tower
    return tower.encode([GREY]).shape[1]
