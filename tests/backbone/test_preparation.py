import numpy as np
import pytest
import torch
from PIL import Image

from skneg.backbone import load_backbone
from skneg.backbone._preparation import Preparation

TIMM = {
    "input_size": (3, 32, 48), "interpolation": "bicubic", "crop_pct": 0.5, "crop_mode": "center",
    "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25),
}  # fmt: skip
WHITE = Image.fromarray(np.full((90, 70, 3), 255, np.uint8))


def test_of_open_clip_it_is_what_the_tower_does():
    tower = load_backbone("skneg-tiny").image_tower
    made = Preparation.of_open_clip(tower._network.visual.preprocess_cfg)
    assert made.size == tower.image_size
    assert made.resized == max(made.size)
    expected = tower.pixels([WHITE], [0])[0]
    assert torch.equal(made.transform(WHITE), torch.from_numpy(expected))


@pytest.mark.parametrize(("crop_pct", "resized"), [(0.5, 96), (1.0, 48), (1.2, 48)])
def test_of_timm_an_image_is_resized_to_more_than_is_seen(crop_pct, resized):
    made = Preparation.of_timm({**TIMM, "crop_pct": crop_pct})
    assert (made.size, made.resized) == ((32, 48), resized)
    pixels = made.transform(WHITE)
    assert pixels.shape == (3, 32, 48)
    assert float(pixels[:, 16, 24].min()) == 2.0  # (1 - 0.5) / 0.25


def test_images_of_other_channels_are_refused():
    with pytest.raises(ValueError, match="4 channels"):
        Preparation.of_timm({**TIMM, "input_size": (4, 32, 32)})
