"""Answers with onnxruntime alone: no skneg, scikit-learn or torch where images are answered.

    python examples/onnx_runtime.py shapes.onnx             # trains on drawn shapes, writes the file
    python examples/onnx_runtime.py shapes.onnx IMAGE ...   # answers; needs onnxruntime, numpy and Pillow

The first call exports a detector with its image tower. The second prepares images as the metadata of the
file say, and prints the label, or "unknown", and the score of each.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

logging.basicConfig(level=logging.INFO, format="%(message)s")
say = logging.getLogger("onnx_runtime").info


def write(path: Path) -> None:
    from skneg import NegPromptDetector, export
    from skneg.datasets import make_scenes

    X, y = make_scenes(120, shapes=["star", "heart", "key", "anchor"], random_state=0)
    detector = NegPromptDetector(model="skneg-tiny", random_state=0).fit(X, y)
    export.onnx(detector, path, images=True)


def prepared(path: Path, size: int, how: dict) -> np.ndarray:
    """Pixels (3, size, size): the shorter side resized, the middle cut out, scaled by mean and std."""
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    shape = [int(size * side / min(image.size)) for side in image.size]
    image = image.resize(shape, Image.Resampling[how["interpolation"].upper()])
    left, top = (round((side - size) / 2) for side in shape)
    pixels = np.asarray(image.crop((left, top, left + size, top + size)), dtype=np.float32) / 255
    return ((pixels - np.float32(how["mean"])) / np.float32(how["std"])).transpose(2, 0, 1)


def answer(path: Path, images: list[Path]) -> None:
    session = onnxruntime.InferenceSession(path)
    facts = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
    size = session.get_inputs()[0].shape[-1]
    pixels = np.stack([prepared(image, size, facts["preprocessing"]) for image in images])
    names = ["score", "class_index", "is_unknown"]
    for image, score, index, is_unknown in zip(images, *session.run(names, {"pixels": pixels}), strict=True):
        label = facts["unknown_label"] if is_unknown else facts["labels"][index]
        say(f"{image}  {label}  score {score:.2f}, threshold {facts['threshold']:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path, nargs="*")
    args = parser.parse_args()
    answer(args.model, args.images) if args.images else write(args.model)
