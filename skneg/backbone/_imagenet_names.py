"""open_clip's names of the 1,000 classes of ImageNet."""

from __future__ import annotations


def imagenet_names() -> list[str]:
    """In the order of the WordNet ids; five pairs of classes have the same name."""
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

    return list(IMAGENET_CLASSNAMES)
