"""Procedural images that need no download, and helpers for image folders."""

from ._scenes import (
    BACKGROUNDS,
    COLORS,
    FAR_KINDS,
    SHAPE_NAMES,
    TEXTURES,
    make_far_ood,
    make_scenes,
    render_scenes,
)
from ._words import load_words

__all__ = [
    "BACKGROUNDS",
    "COLORS",
    "FAR_KINDS",
    "SHAPE_NAMES",
    "TEXTURES",
    "load_words",
    "make_far_ood",
    "make_scenes",
    "render_scenes",
]
