"""Decoding what users hand in: any container of images becomes a sequence that loads one at a time."""

from ._captioned import CaptionedImages
from ._cropped import CroppedImages
from ._decode import MAX_PIXELS, decode_image, image_suffixes
from ._inputs import ImageSequence, as_image_sequence, is_embeddings
from ._unreadable import unreadable
from ._views import augmented_views

__all__ = [
    "MAX_PIXELS",
    "CaptionedImages",
    "CroppedImages",
    "ImageSequence",
    "as_image_sequence",
    "augmented_views",
    "decode_image",
    "image_suffixes",
    "is_embeddings",
    "unreadable",
]
