import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from skneg.errors import InputError, InputTypeError
from skneg.images import as_image_sequence, is_embeddings

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 20, 24, 3), dtype=np.uint8)
PIL = [Image.fromarray(p) for p in PIXELS]


def object_array(items) -> np.ndarray:
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


@pytest.mark.parametrize(
    "X",
    [
        PIXELS,
        list(PIXELS),
        PIL,
        tuple(PIL),
        object_array(PIL),
        pd.Series(PIL, index=[9, 8, 7]),
        torch.from_numpy(PIXELS).permute(0, 3, 1, 2),
    ],
    ids=["nhwc", "arrays", "list", "tuple", "objects", "series", "nchw"],
)
def test_containers_give_the_same_images_in_order(X):
    sequence = as_image_sequence(X)
    assert len(sequence) == 3
    for image, pixels in zip(sequence, PIXELS, strict=True):
        np.testing.assert_array_equal(np.asarray(image), pixels)


def test_paths_in_string_arrays(tmp_path):
    paths = []
    for i, image in enumerate(PIL):
        paths.append(str(tmp_path / f"{i}.png"))
        image.save(paths[-1])
    for X in (paths, np.array(paths), pd.Series(paths)):
        np.testing.assert_array_equal(np.asarray(as_image_sequence(X)[2]), PIXELS[2])


@pytest.mark.parametrize(
    "X",
    [np.zeros((2, 3)), np.zeros((2, 3), np.float16), torch.zeros(2, 3), pd.DataFrame({"a": [1.0]}), [[0.5]]],
)
def test_two_dimensional_floats_are_embeddings(X):
    assert is_embeddings(X)


@pytest.mark.parametrize(
    "X", [np.zeros((2, 3), int), PIXELS, np.zeros(3), torch.zeros(2, 3, 4, 4), PIL, ["a.png"], []]
)
def test_anything_else_is_not(X):
    assert not is_embeddings(X)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ("one.png", InputError, r"pass \[X\]"),
        (PIL[0], InputError, r"pass \[X\]"),
        (b"raw", InputError, r"pass \[X\]"),
        ([], InputError, "no images"),
        (PIXELS[0], InputError, "leading axis"),
        (PIXELS.astype(float), InputError, "uint8"),
        (np.zeros((2, 3), int), InputError, "embeddings are 2-D float"),
        (torch.zeros(2, 20, 24, 3), InputError, "tensor of shape"),
        (torch.zeros(2, 3, 4, 4, dtype=torch.int64), InputError, "int64"),
        (pd.DataFrame({"path": ["a"], "label": [1]}), InputTypeError, "image column"),
        (5, InputTypeError, "int"),
        ({"a": 1}, InputTypeError, "dict"),
    ],
)
def test_other_containers_are_refused(X, error, message):
    with pytest.raises(error, match=message):
        as_image_sequence(X)
