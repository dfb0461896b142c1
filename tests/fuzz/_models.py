"""Model folders and files of weights."""

import io
import json
import shutil
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import open_clip
import torch
from safetensors.torch import load, save

from skneg.backbone import _loading, _no_tower, load_backbone
from skneg.backbone._config import CONFIG_NAME
from skneg.backbone._no_tower import copy_text_tower, load_no_tower, save_no_tower
from skneg.backbone._tiny import WEIGHTS_NAME
from skneg.images import as_image_sequence

from .._forked import RIGHT
from ._bytes import damaged, damaged_behind
from ._target import Target
from ._values import spoiled

# The tokenizer's words are many; all else is as small as can be, so that a model is read in no time.
_CONFIG = {
    "model_cfg": {
        "embed_dim": 8,
        "vision_cfg": {"layers": [1, 1, 1, 1], "width": 8, "image_size": 32},
        "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 4, "heads": 1, "layers": 1},
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "interpolation": "bilinear"},
}
_IMAGES = np.random.default_rng(0).integers(0, 256, (2, 24, 32, 3), dtype=np.uint8)


def targets(whole):
    torch.manual_seed(0)
    weights = open_clip.CLIP(**_CONFIG["model_cfg"]).state_dict()
    config, plain = json.dumps(_CONFIG).encode(), save(weights)
    with tempfile.TemporaryDirectory() as folder:
        backbone = _model(Path(folder), config, plain, WEIGHTS_NAME)
        no_file = Path(folder) / "no.safetensors"
        save_no_tower(copy_text_tower(backbone.text_tower), no_file)
        plain_no = no_file.read_bytes()
    return [
        Target("model configuration", lambda rng: _other_config(config, rng), partial(_read_config, plain)),
        *_of_weights("model", plain, partial(_read_model, config)),
        *_of_weights("no tower", plain_no, partial(_read_no_tower, backbone)),
    ]


def _of_weights(name, plain, check):
    pickled = _pickled(load(plain))
    return [
        Target(
            f"{name}, safetensors",
            lambda rng: damaged_behind(8, plain, rng, [plain]),
            partial(check, ".safetensors"),
        ),
        Target(f"{name}, torch.save", lambda rng: damaged(pickled, rng, [pickled]), partial(check, ".pt")),
    ]


def _pickled(weights):
    file = io.BytesIO()
    torch.save(weights, file)
    return file.getvalue()


def _other_config(config, rng):
    if rng.random() < 0.3:
        return damaged(config, rng, [config])
    return json.dumps(spoiled(json.loads(config), rng)).encode()


def _model(folder, config, weights, name):
    """A model folder, read anew."""
    model = folder / "model"
    shutil.rmtree(model, ignore_errors=True)
    model.mkdir()
    (model / CONFIG_NAME).write_bytes(config)
    (model / name).write_bytes(weights)
    _loading._loaded.clear()
    return load_backbone(f"local-dir:{model}", device="cpu")


def _read_config(weights, data, folder):
    return _check(_model(folder, data, weights, WEIGHTS_NAME))


def _read_model(config, suffix, data, folder):
    return _check(_model(folder, config, data, f"model{suffix}"))


def _check(backbone):
    """A model has embeddings of images and of texts."""
    images = backbone.image_tower.encode(as_image_sequence(_IMAGES))
    _check_rows(images, backbone.text_tower.embed_dim)
    return _check_texts(backbone.text_tower)


def _check_texts(tower):
    _check_rows(tower.encode(["a cat", "the dog"]), tower.embed_dim)
    return RIGHT


def _check_rows(rows, width):
    assert (rows.shape, rows.dtype) == ((2, width), np.float32)
    assert (np.linalg.norm(rows, axis=1) < 1.01).all()  # not NaN; 0 where damaged weights overflow


def _read_no_tower(backbone, suffix, data, folder):
    file = folder / f"no{suffix}"
    file.write_bytes(data)
    _no_tower._loaded.clear()
    return _check_texts(load_no_tower(backbone, file))
