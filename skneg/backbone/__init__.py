"""CLIP models by name: the image tower, the text tower, and the tiny model that ships with skneg."""

from .._utils import attach

__all__ = [
    "Backbone",
    "ImageTower",
    "NoTower",
    "TextTower",
    "embedding_width",
    "list_models",
    "load_backbone",
    "load_no_tower",
    "save_no_tower",
]

__getattr__, __dir__ = attach(
    __name__,
    {
        "Backbone": "_loading",
        "ImageTower": "_image_tower",
        "NoTower": "_no_tower",
        "TextTower": "_text_tower",
        "embedding_width": "_width",
        "list_models": "_loading",
        "load_backbone": "_loading",
        "load_no_tower": "_no_tower",
        "save_no_tower": "_no_tower",
    },
)
