"""Embeddings of image patches, beside the whole image's: what CLIP saw where.

References
----------
.. [1] Zhou et al., "Extract Free Dense Labels from CLIP", ECCV 2022 (MaskCLIP).
.. [2] Miyai et al., "LoCoOp: Few-Shot OOD Detection via Prompt Learning", NeurIPS 2023.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from open_clip.modified_resnet import AttentionPool2d, ModifiedResNet
from open_clip.transformer import VisionTransformer
from torch.nn import functional

from ..errors import BackboneError


def local_forward(visual: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """The function of an image tower that gives an image's embedding and those of its patches.

    In the last attention every patch attends to itself alone, so that its embedding speaks of what is
    there ([1]_, [2]_): the last block of a transformer, the attention pool of a ResNet.

    Parameters
    ----------
    visual : Module
        ``network.visual`` of an open_clip model.

    Returns
    -------
    callable
        From pixels (n, 3, height, width) to embeddings (n, 1 + patches, d), not normalised; row 0 of
        each image is the whole image's.

    Raises
    ------
    BackboneError
        If the tower has no local features.
    """
    if isinstance(visual, VisionTransformer) and visual.attn_pool is None and visual.pool_type == "tok":
        return lambda pixels: _transformer(visual, pixels)
    if isinstance(visual, ModifiedResNet) and isinstance(visual.attnpool, AttentionPool2d):
        return lambda pixels: _resnet(visual, pixels)
    inner = type(getattr(visual, "trunk", visual)).__name__
    raise BackboneError(
        f"the image tower {type(visual).__name__} ({inner}) has no local features: they come from "
        "open_clip's own ViT with a class token, or ResNet with attention pooling. Take such a model, "
        "such as ViT-B-16 or RN50, or a detector that does without them."
    )


def _transformer(visual: Any, pixels: torch.Tensor) -> torch.Tensor:
    x = visual._embeds(pixels)
    *blocks, last = visual.transformer.resblocks
    # A tower may run its blocks token-first; blocks themselves say how they were built.
    batch_first = visual.transformer.batch_first
    x = x if batch_first else x.transpose(0, 1)
    for block in blocks:
        x = block(x)
    n_tokens = x.shape[1 if batch_first else 0]
    alone = torch.full((n_tokens, n_tokens), float("-inf"), device=x.device).fill_diagonal_(0)
    whole, local = last(x), last(x, attn_mask=alone)
    if not batch_first:
        whole, local = whole.transpose(0, 1), local.transpose(0, 1)
    tokens = visual.ln_post(torch.cat([whole[:, :1], local[:, 1:]], dim=1))
    return tokens if visual.proj is None else tokens @ visual.proj


def _resnet(visual: Any, pixels: torch.Tensor) -> torch.Tensor:
    x = visual.stem(pixels)
    for stage in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
        x = stage(x)
    pool = visual.attnpool
    places = x.flatten(2).transpose(1, 2) + pool.positional_embedding[1:]
    local = functional.linear(pool.v_proj(places), pool.c_proj.weight, pool.c_proj.bias)
    return torch.cat([pool(x)[:, None], local], dim=1)
