"""CLIP models by name: the image tower, the text tower, and the tiny model that ships with skneg."""

from .._lazy import attach

__all__ = ["Backbone", "ImageTower", "TextTower", "load_backbone"]

__getattr__, __dir__ = attach(
    __name__,
    {
        "Backbone": "_loading",
        "ImageTower": "_image_tower",
        "TextTower": "_text_tower",
        "load_backbone": "_loading",
    },
)
