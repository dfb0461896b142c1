"""How a tower wants its images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any, Self

import open_clip
import torch


@dataclass(frozen=True)
class Preparation:
    """From RGB images to what a tower sees, and what others must know of it.

    Attributes
    ----------
    transform : callable
        From a Pillow image to a tensor (3, height, width), float32.
    size : tuple of int
        Height and width that the tower sees, in pixels.
    mean, std : tuple of float
        Of the three channels, of pixels from 0 to 1.
    resized : int
        Pixels of the longer of the two sides before a crop.
    """

    transform: Callable[[Any], torch.Tensor]
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resized: int

    @classmethod
    def of_open_clip(cls, config: dict[str, Any]) -> Self:
        """As a ``preprocess_cfg`` of open_clip says."""
        wanted = open_clip.transform.PreprocessCfg(**config)
        size = (wanted.size, wanted.size) if isinstance(wanted.size, int) else tuple(wanted.size[-2:])
        transform = open_clip.transform.image_transform_v2(wanted, is_train=False)
        return cls(transform, size, wanted.mean, wanted.std, max(size))

    @classmethod
    def of_timm(cls, config: dict[str, Any]) -> Self:
        """As `timm.data.resolve_data_config` says."""
        from timm.data import create_transform

        channels, *size = config["input_size"]
        if channels != 3:
            raise ValueError(f"it takes images of {channels} channels, not of 3")
        height, width = size
        resized = ceil(max(size) / min(config["crop_pct"], 1))
        transform = create_transform(**config, is_training=False)
        return cls(transform, (height, width), config["mean"], config["std"], resized)
