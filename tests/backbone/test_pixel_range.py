"""Tensors that are normalised otherwise than the model wants."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms import v2

from skneg import CLIPImageEncoder, MCMDetector
from skneg.backbone._pixel_range import PixelRange
from skneg.errors import InputError, InputWarning

MODELS = {
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
PHOTOS = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
PHOTOS[0, :, 0] = torch.tensor([[0.0], [0.0], [0.0]])  # black
PHOTOS[1, :, 0] = torch.tensor([[1.0], [1.0], [1.0]])  # white


def normalised(name, pixels=PHOTOS):
    return v2.functional.normalize(pixels, *MODELS[name])


@pytest.mark.parametrize("model", MODELS)
def test_what_is_normalised_for_the_model_is_taken_without_a_word(model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for pixels in (normalised(model), normalised(model, PHOTOS[2:] * 0.3 + 0.1)):
            values = PixelRange(*MODELS[model])
            for batch in pixels.split(2):
                values.add(batch)
        PixelRange(*MODELS[model]).add(torch.zeros(2, 3, 4, 4))  # blank
        PixelRange([0.5] * 3, [0.502] * 3).add(normalised("half"))  # as good as the same


@pytest.mark.parametrize("model", ["clip", "half", "imagenet"])
def test_what_totensor_gives_is_refused_with_the_line_to_write(model):
    # As users of other libraries: https://github.com/huggingface/transformers/pull/25688
    with pytest.raises(InputError, match=r"\(X \* 255\)\.to\(torch\.uint8\)"):
        PixelRange(*MODELS[model]).add(PHOTOS)
    with pytest.raises(InputError, match=r"X\.to\(torch\.uint8\)"):
        PixelRange(*MODELS[model]).add(PHOTOS * 255)


def test_another_mean_and_std_is_named_where_it_is_seen():
    # https://github.com/mlfoundations/open_clip/issues/204: models of one library differ in this.
    for given_, wanted in (("imagenet", "clip"), ("half", "clip"), ("clip", "half"), ("imagenet", "half")):
        values = PixelRange(*MODELS[wanted])
        batches = normalised(given_).split(2)
        with pytest.warns(InputWarning, match="another mean and std") as caught:
            _ = [values.add(batch) for batch in batches]
        assert len(caught) == 1


def test_batches_are_judged_together():
    values = PixelRange(*MODELS["clip"])
    values.add(normalised("clip"))
    values.add(torch.rand(1, 3, 4, 4))  # a grey image among others


@given(
    st.sampled_from(["clip", "half", "imagenet"]), st.floats(0, 1), st.floats(0, 1), st.sampled_from([1, 255])
)
def test_pixels_that_are_not_normalised_are_never_taken(model, low, high, scale):
    batch = torch.tensor([low, high]).reshape(1, 1, 1, 2) * scale
    if batch.min() == batch.max() or (batch.max() > 1 and batch.max() < 10):  # 0..255, but all but black
        return
    with pytest.raises((InputError, InputWarning), match="not normalised"):
        PixelRange(*MODELS[model]).add(batch)


def test_images_of_little_contrast_are_taken_with_a_warning():
    low = torch.linspace(0.2, 0.8, 12).reshape(1, 3, 2, 2)
    with pytest.warns(InputWarning, match="perhaps they are not normalised"):
        PixelRange(*MODELS["clip"]).add(low)
    values = PixelRange(*MODELS["clip"])
    with pytest.warns(InputWarning):
        values.add(low)
    values.add(low - 1.5)  # once


@pytest.mark.parametrize("contain", [lambda X: X, list, lambda X: [(x, 0) for x in X]])
def test_a_detector_refuses_them_and_takes_the_way_out(scenes, contain):
    X, y = scenes
    floats = torch.from_numpy(np.asarray(X[:60])).permute(0, 3, 1, 2) / 255
    detector = MCMDetector(model="skneg-tiny").fit(X[:60], y[:60])
    for wrong in (floats, floats * 255):
        with pytest.raises(InputError, match="not normalised"):
            detector.predict(contain(wrong))
    right = contain((floats * 255).round().to(torch.uint8))
    np.testing.assert_array_equal(detector.predict(right), detector.predict(X[:60]))


def test_the_cache_does_not_hide_them(scenes, tmp_path):
    floats = torch.from_numpy(np.asarray(scenes[0][:4])).permute(0, 3, 1, 2) / 255
    with pytest.raises(InputError, match="not normalised"):
        CLIPImageEncoder(model="skneg-tiny", cache=tmp_path).transform(floats)
