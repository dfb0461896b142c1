"""What encoding images costs, beside open_clip's own loop: read and preprocess each, stack, encode.

    OMP_NUM_THREADS=1 python benchmarks/encoding.py [--model ViT-B-16] [--images 32] [--device cuda]

Random weights: speed does not depend on them. JPEG files of 640 x 480 in batches of 32, then one
image, and one through `predict` of a detector with 100 classes and 5,506 words. On a GPU skneg computes as by
default, in bfloat16; the error says what that changes in the embeddings.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np
import open_clip
import torch
from _measure import best, row
from PIL import Image

from skneg import NegLabelDetector, TextBank, Words
from skneg.backbone import Backbone, ImageTower, _loading
from skneg.datasets import make_scenes
from skneg.images import as_image_sequence

BATCH, CLASSES, WORDS = 32, 100, 5_506


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="ViT-B-16")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    device, repeats = options.device, options.repeats
    if device == "cpu":
        torch.set_num_threads(1)
    network, _, prepare = open_clip.create_model_and_transforms(options.model, device=device)
    network.eval()
    dtype = _loading._resolve_precision("auto", torch.device(device))

    def theirs(paths: Sequence[Path]) -> np.ndarray:
        rows = []
        with torch.inference_mode():
            for start in range(0, len(paths), BATCH):
                pixels = torch.stack([prepare(Image.open(path)) for path in paths[start : start + BATCH]])
                rows.append(network.encode_image(pixels.to(device), normalize=True).cpu().numpy())
        return np.concatenate(rows)

    with TemporaryDirectory() as folder:
        paths = [Path(folder, f"{number}.jpg") for number in range(options.images)]
        for path, pixels in zip(paths, make_scenes(len(paths), random_state=0)[0], strict=True):
            Image.fromarray(pixels).resize((640, 480), Image.Resampling.BICUBIC).save(path, quality=90)
        many, one = f"{len(paths)} images with {options.model}", f"one image with {options.model}"
        anchors = [best(lambda given=given: theirs(given), repeats, device) for given in (paths, paths[:1])]
        expected = theirs(paths)
        # From here on the network lies in memory as skneg wants it.
        tower = ImageTower(network, torch.device(device), dtype)

        def ours(paths: Sequence[Path]) -> np.ndarray:
            return tower.encode(as_image_sequence(paths), BATCH)

        error = float(np.abs(ours(paths) - expected).max())
        for what, given, anchor in zip((many, one), (paths, paths[:1]), anchors, strict=True):
            seconds = best(lambda given=given: ours(given), repeats, device)
            row(
                f"encoding {what}", seconds, "open_clip's own loop", anchor,
                images_per_s=round(len(given) / seconds, 2), largest_error=error,
            )  # fmt: skip
        key = (options.model, _loading.DEFAULT_PRETRAINED[options.model], device, dtype)
        with mock.patch.dict(_loading._loaded, {key: Backbone(options.model, tower, None)}):
            detector = fitted(options.model, device, expected.shape[1])
            alone = best(lambda: tower.encode(as_image_sequence(paths[:1]), 1), repeats, device)
            whole = best(lambda: detector.predict([str(paths[0])]), repeats, device)
        row(f"predict of {one}, {CLASSES} classes, {WORDS:,} words", whole, "the tower's own pass", alone)


def fitted(model: str, device: str, width: int) -> NegLabelDetector:
    """A detector whose scores cost what those of `CLASSES` names and `WORDS` words do."""
    rng = np.random.default_rng(0)
    positive, negative, X = (
        rng.normal(size=(n, width)).astype(np.float32) for n in (CLASSES, WORDS, CLASSES)
    )
    return NegLabelDetector(
        model=model, device=device, text_bank=TextBank(positive, negative),
        class_names=[f"class {number}" for number in range(CLASSES)],
        words=Words(fraction=1.0, max_cosine=1.01), random_state=0,
    ).fit(X)  # fmt: skip


if __name__ == "__main__":
    main()
