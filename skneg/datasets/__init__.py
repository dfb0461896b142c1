"""Procedural images that need no download, and helpers for image folders."""

from ._folders import list_images, load_image_folder, load_image_list
from ._image_protocol import ImageProtocol, ImageSet
from ._protocols import get_protocol, list_protocols
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
from ._splits import sample_shots
from ._words import load_words

__all__ = [
    "BACKGROUNDS",
    "COLORS",
    "FAR_KINDS",
    "SHAPE_NAMES",
    "TEXTURES",
    "ImageProtocol",
    "ImageSet",
    "get_protocol",
    "list_images",
    "list_protocols",
    "load_image_folder",
    "load_image_list",
    "load_words",
    "make_far_ood",
    "make_scenes",
    "render_scenes",
    "sample_shots",
]
