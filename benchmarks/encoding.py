"""What encoding images costs, beside open_clip's own loop: read and preprocess each, stack, encode.

    OMP_NUM_THREADS=1 python benchmarks/encoding.py [--model ViT-B-16] [--images 32]

Random weights: speed does not depend on them. JPEG files of 640 x 480 in batches of 32, then one image.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import open_clip
import torch
from _measure import best, row
from PIL import Image

from skneg.backbone import ImageTower
from skneg.datasets import make_scenes
from skneg.images import as_image_sequence

BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="ViT-B-16")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    network, _, prepare = open_clip.create_model_and_transforms(options.model)
    network.eval()
    tower = ImageTower(network, torch.device("cpu"), torch.float32)

    def theirs(paths: Sequence[Path]) -> np.ndarray:
        rows = []
        with torch.inference_mode():
            for start in range(0, len(paths), BATCH):
                pixels = torch.stack([prepare(Image.open(path)) for path in paths[start : start + BATCH]])
                rows.append(network.encode_image(pixels, normalize=True).numpy())
        return np.concatenate(rows)

    def ours(paths: Sequence[Path]) -> np.ndarray:
        return tower.encode(as_image_sequence(paths), BATCH)

    with TemporaryDirectory() as folder:
        paths = [Path(folder, f"{number}.jpg") for number in range(options.images)]
        for path, pixels in zip(paths, make_scenes(len(paths), random_state=0)[0], strict=True):
            Image.fromarray(pixels).resize((640, 480), Image.Resampling.BICUBIC).save(path, quality=90)
        for what, given in ((f"{len(paths)} images", paths), ("one image", paths[:1])):
            error = float(np.abs(ours(given) - theirs(given)).max())
            anchor = best(lambda given=given: theirs(given), options.repeats)
            row(
                f"encoding {what} with {options.model}",
                best(lambda given=given: ours(given), options.repeats),
                "open_clip's own loop",
                anchor,
                largest_error=error,
            )


if __name__ == "__main__":
    main()
