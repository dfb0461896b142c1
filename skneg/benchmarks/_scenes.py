"""The `scenes` protocol: images that skneg draws, for the model that ships with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import skneg

from ..datasets import COLORS, SHAPE_NAMES, make_far_ood, make_scenes
from ..encoder import CLIPImageEncoder
from ..words import Words
from ._protocols import Protocol
from ._tasks import Task, numbered

_POOL = 40  # images per shape that training images are drawn from
_KNOWN, _NEAR, _NAMED = SHAPE_NAMES[0:36:3], SHAPE_NAMES[1:36:3], SHAPE_NAMES[2:36:3]


def scenes_tasks(protocol: Protocol, out: Path, encoder: CLIPImageEncoder) -> list[Task]:
    """12 known shapes, 12 other shapes, and images without any shape."""
    names = sorted(_KNOWN)

    def scenes(name: str, n: int, shapes: Any, seed: int) -> Any:
        pixels, y = make_scenes(n, shapes=shapes, random_state=seed)
        return numbered(name, pixels, encoder.transform(pixels), np.searchsorted(names, y))

    far = make_far_ood(600, random_state=4)
    ood = {"near": scenes("near", 600, _NEAR, 3), "far": numbered("far", far, encoder.transform(far))}
    no_tower = out / "no-tower.safetensors"
    of_shapes: dict[str, Any] = {"n_groups": 1, "words": Words(SHAPE_NAMES, fraction=0.5, max_cosine=1.01)}
    phrases = {
        **of_shapes,
        "words": Words(SHAPE_NAMES, fraction=0.5, max_cosine=0.95),
        "adjectives": list(COLORS),
        "superclasses": ["thing"],
    }
    parameters: dict[str, dict[str, Any]] = {
        "EOEDetector": {"outlier_names": list(_NAMED)},
        "NegLabelDetector": of_shapes,
        "CSPDetector": phrases,
        "NegRefineDetector": phrases,
        "CLIPNDetector": {"no_encoder": no_tower},
        "ZOCDetector": {"candidate_labels": word_captioner(encoder, SHAPE_NAMES)},
    }
    before = {"CLIPNDetector": partial(_train_no_tower, no_tower)}
    pool, test = scenes("pool", _POOL * len(names), names, 0), scenes("test", 600, names, 1)
    return [
        Task(experiment, names, len(names), pool, test, ood, parameters, before)
        for experiment in protocol.experiments
    ]


def _train_no_tower(file: Path) -> None:
    if file.is_file():
        return
    pairs, _, captions = make_scenes(2000, return_captions=True, random_state=5)
    file.parent.mkdir(parents=True, exist_ok=True)
    skneg.train_no_encoder(pairs, captions.tolist(), model="skneg-tiny", n_epochs=5, random_state=0, out=file)


def word_captioner(
    encoder: CLIPImageEncoder, words: tuple[str, ...], n_words: int = 5
) -> Callable[[list[Any]], list[list[str]]]:
    """Stands in for a caption model: the words nearest to an image, by CLIP itself."""

    def nearest_words(images: list[Any]) -> list[list[str]]:
        bank = encoder.backbone().text_tower.encode([f"a photo of a {word}" for word in words])
        cosines = encoder.transform(np.stack([np.asarray(image) for image in images])) @ bank.T
        return [[words[i] for i in row] for row in cosines.argsort(axis=1)[:, -n_words:]]

    return nearest_words
