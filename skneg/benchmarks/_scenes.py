"""The `scenes` protocol: images that skneg draws, for the model that ships with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import skneg

from ..datasets import COLORS, SHAPE_NAMES, make_far_ood, make_scenes
from ..words import Words
from ._experiments import Experiment
from ._images import Encoder, Images
from ._tasks import Task

_POOL = 40  # images per shape that training images are drawn from
_KNOWN, _NEAR, _NAMED = SHAPE_NAMES[0:36:3], SHAPE_NAMES[1:36:3], SHAPE_NAMES[2:36:3]


def scenes_task(experiment: Experiment, out: Path, encoder: Callable[[], Encoder]) -> Task:
    """12 known shapes, 12 other shapes, and images without any shape."""
    names = sorted(_KNOWN)
    pool, pool_y = make_scenes(_POOL * len(names), shapes=names, random_state=0)
    test, test_y = make_scenes(600, shapes=names, random_state=1)
    near, _ = make_scenes(600, shapes=_NEAR, random_state=3)
    no_tower = out / "no-tower.safetensors"
    return Task(
        experiment,
        names,
        len(names),
        Images("pool", pixels=pool),
        np.searchsorted(names, pool_y),
        {
            "near": Images("near", pixels=near),
            "far": Images("far", pixels=make_far_ood(600, random_state=4)),
        },
        Images("test", pixels=test),
        np.searchsorted(names, test_y),
        {
            "EOEDetector": {"outlier_names": list(_NAMED)},
            "NegLabelDetector": {"words": Words(SHAPE_NAMES, fraction=0.5, max_cosine=1.01), "n_groups": 1},
            "CSPDetector": {
                "words": Words(SHAPE_NAMES, fraction=0.5, max_cosine=0.95),
                "adjectives": list(COLORS),
                "superclasses": ["thing"],
                "n_groups": 1,
            },
            "CLIPNDetector": {"no_encoder": no_tower},
            "ZOCDetector": {"candidate_labels": word_captioner(encoder, SHAPE_NAMES)},
        },
        {"CLIPNDetector": partial(_train_no_tower, no_tower)},
    )


def _train_no_tower(file: Path) -> None:
    if file.is_file():
        return
    pairs, _, captions = make_scenes(2000, return_captions=True, random_state=5)
    file.parent.mkdir(parents=True, exist_ok=True)
    skneg.train_no_encoder(pairs, captions.tolist(), model="skneg-tiny", n_epochs=5, random_state=0, out=file)


def word_captioner(
    encoder: Callable[[], Encoder], words: tuple[str, ...], n_words: int = 5
) -> Callable[[list[Any]], list[list[str]]]:
    """Stands in for a caption model: the words nearest to an image, by CLIP itself."""

    def nearest_words(images: list[Any]) -> list[list[str]]:
        tower = encoder()
        bank = tower.texts([f"a photo of a {word}" for word in words])
        pixels = np.stack([np.asarray(image) for image in images])
        cosines = tower.embeddings(Images("captioned", pixels=pixels)) @ bank.T
        return [[words[i] for i in row] for row in cosines.argsort(axis=1)[:, -n_words:]]

    return nearest_words
