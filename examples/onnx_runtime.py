"""How does a program without skneg answer?

A detector is exported with its image tower to one ONNX file. Then onnxruntime, numpy and
Pillow answer: `answers` needs nothing else. With arguments, FILE.onnx IMAGE ..., it
answers these. The picture shows the images with the answers of the file.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def prepared(path, size, how):
    """Pixels (3, size, size): upright, on white, the shorter side resized, the middle cut out, scaled."""
    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode.startswith(("I", "F")) or how["resize_mode"] != "shortest":
        raise ValueError(f"{path}: 16-bit pixels, or a model that resizes otherwise; see docs/serve.md")
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    shape = [int(size * side / min(image.size)) for side in image.size]
    image = image.convert("RGB").resize(shape, Image.Resampling[how["interpolation"].upper()])
    left, top = (round((side - size) / 2) for side in shape)
    pixels = np.asarray(image.crop((left, top, left + size, top + size)), dtype=np.float32) / 255
    return ((pixels - np.float32(how["mean"])) / np.float32(how["std"])).transpose(2, 0, 1)


def answers(file, paths):
    session = onnxruntime.InferenceSession(file)
    facts = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
    if facts["input"] != "pixels":
        raise ValueError(f"{file} takes embeddings: export it with images=True")
    size = session.get_inputs()[0].shape[-1]
    pixels = np.stack([prepared(path, size, facts["preprocessing"]) for path in paths])
    index, is_unknown = session.run(["class_index", "is_unknown"], {"pixels": pixels})
    return [
        facts["unknown_label"] if u else facts["labels"][i] for u, i in zip(is_unknown, index, strict=True)
    ]


if len(sys.argv) > 2:
    for path, answer in zip(sys.argv[2:], answers(sys.argv[1], sys.argv[2:]), strict=True):
        print(path, answer)
else:
    from skneg import NegPromptDetector, export
    from skneg.datasets import make_scenes
    from skneg.plotting import ImageGridDisplay

    folder = Path(tempfile.mkdtemp())
    detector = NegPromptDetector(model="skneg-tiny", random_state=0)
    detector.fit(*make_scenes(120, shapes=["star", "heart", "key", "anchor"], random_state=0))
    export.onnx(detector, folder / "shapes.onnx", images=True)
    shapes = ["star", "heart", "key", "anchor", "fish", "crown"]
    X, y = make_scenes(12, shapes=shapes, noise=0, random_state=1)
    paths = [folder / f"{number}.png" for number in range(len(X))]
    for path, pixels in zip(paths, X, strict=True):
        Image.fromarray(pixels).save(path)
    for shape, answer in sorted(zip(y, answers(folder / "shapes.onnx", paths), strict=True)):
        print(f"{shape:<8} {answer}")
    ImageGridDisplay.from_estimator(detector, paths).figure_.savefig("onnx_runtime.png", dpi=48)
