import os
import warnings
from collections import deque
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset
from torchvision.datasets import ImageFolder

from skneg.errors import ImageError, InputError, InputTypeError, InputWarning
from skneg.images import ImageSequence, as_image_sequence, is_embeddings

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 20, 24, 3), dtype=np.uint8)
PIL = [Image.fromarray(p) for p in PIXELS]
PLANES = torch.from_numpy(PIXELS).permute(0, 3, 1, 2)


class Rows(Dataset):
    """As torch's, torchvision's and Hugging Face's data sets: a length, and items by number."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


class Stream(IterableDataset):
    def __iter__(self):
        return iter(PIL)


class Foreign:
    """An array of another library."""

    def __init__(self, values):
        self.values, self.ndim = values, values.ndim

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype=dtype)

    def __len__(self):
        return len(self.values)

    def __getitem__(self, i):
        return Foreign(self.values[i])


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
        PLANES,
        list(PLANES),
        object_array(list(PLANES)),
        deque(PIL),
        pd.DataFrame({"photo": PIL}),
        object_array(PIL)[:, None],
        Rows(PIL),
        Rows(list(PLANES)),
        Rows([(image, 3) for image in PIL]),
        Rows([("cat", image) for image in PIL]),
        Rows([{"image": image, "label": 1} for image in PIL]),
        [{"img": image, "label": 1, "text": "a cat"} for image in PIL],
        [{"image": image, "mask": image} for image in PIL],
        [(image, 0, "from/here.png") for image in PIL],
        [{"img": image, "path": "from/here.png"} for image in PIL],
        [(image, np.zeros(3)) for image in PIXELS],
        Foreign(PIXELS),
    ],
    ids=lambda X: type(X).__name__,
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
    kinds = [
        paths, np.array(paths), pd.Series(paths), pd.Series(paths, dtype=object),
        pd.DataFrame({"path": paths}),
        np.array(paths)[:, None], np.array([os.fsencode(p) for p in paths]), pd.Index(paths),
        [(path, 0) for path in paths], [{"path": path, "label": 0} for path in paths],
        [{"image": {"bytes": None, "path": path}, "label": 0} for path in paths],
    ]  # fmt: skip
    if hasattr(np.dtypes, "StringDType"):  # numpy 2
        kinds.append(np.array(paths, dtype=np.dtypes.StringDType()))
    for X in kinds:
        assert len(as_image_sequence(X)) == 3
        np.testing.assert_array_equal(np.asarray(as_image_sequence(X)[2]), PIXELS[2])


def test_torchvision_s_folder_gives_its_images(tmp_path):
    for i, image in enumerate(PIL):
        (tmp_path / str(i)).mkdir()
        image.save(tmp_path / str(i) / "a.png")
    folder = ImageFolder(tmp_path)
    for X in (folder, folder.samples):
        np.testing.assert_array_equal(np.asarray(as_image_sequence(X)[2]), PIXELS[2])


def test_encoded_images_in_a_bytes_array_are_no_paths():
    import io

    buffer = io.BytesIO()
    PIL[0].save(buffer, "PNG")
    X = np.array([buffer.getvalue()])
    np.testing.assert_array_equal(np.asarray(as_image_sequence(X)[0]), PIXELS[0])


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ((PIL[0], PIL[1]), "2 are images"),
        (["a.png", "b.jpg"], "2 are images"),
        ({"a": 1, "b": "text"}, "'a', 'b'.*0 are images"),
        ((), "0 are images"),
        (torch.zeros(5), "torch.stack"),
        (torch.zeros(1, 3, 8, 8), r"\(1, 3, 8, 8\)"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), "int64"),
        (PLANES[0].permute(1, 2, 0), "tensor of shape"),
    ],
)
def test_an_item_without_one_image_is_named(item, message):
    for X in (Rows([PIL[0], item]), deque([PIL[0], item])):
        with pytest.raises(ImageError, match=f"image 1 .*{message}") as caught:
            as_image_sequence(X)[1]
        assert caught.value.index == 1


def as_opened_and_converted() -> Image.Image:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = PIL[0].copy()
    image.info["exif"] = exif.tobytes()
    return image


@pytest.mark.parametrize("contain", [list, tuple, object_array, pd.Series, lambda X: [(x, 1) for x in X]])
def test_tags_that_stay_are_named_once_for_all_rows(contain):
    X = contain([*PIL, as_opened_and_converted(), PIL[0], as_opened_and_converted()])
    with pytest.warns(InputWarning, match="row 3, 5; 2 in all") as caught:
        sequence = as_image_sequence(X)
    assert [image.size for image in sequence][2:4] == [(24, 20), (20, 24)]
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_a_tag_in_a_data_set_is_named_when_it_is_read():
    sequence = as_image_sequence(Rows([(as_opened_and_converted(), 0)]))
    with pytest.warns(InputWarning, match="row 0; and perhaps others"):
        sequence[0]


@given(st.sampled_from([list, tuple, object_array, pd.Series, Rows, deque]), st.data())
def test_any_container_of_any_items_gives_the_images_in_order(contain, data):
    forms = [
        lambda i: PIL[i], lambda i: PIXELS[i], lambda i: PLANES[i],
        lambda i: (PIL[i], i), lambda i: [i, PIL[i]],
        lambda i: {"image": PIL[i], "label": i}, lambda i: {"label": "a.b", "photo": PIXELS[i]},
    ]  # fmt: skip
    rows = data.draw(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(forms)), min_size=1, max_size=5))
    X = contain([form(i) for i, form in rows])  # numpy may warn of tensors of an older torch
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sequence = as_image_sequence(X)
        assert len(sequence) == len(rows)
        for image, (i, _) in zip(sequence, rows, strict=True):
            np.testing.assert_array_equal(np.asarray(image), PIXELS[i])


@pytest.mark.parametrize(
    "X",
    [np.zeros((2, 3)), np.zeros((2, 3), np.float16), torch.zeros(2, 3), pd.DataFrame({"a": [1.0]}), [[0.5]]],
)
def test_two_dimensional_floats_are_embeddings(X):
    assert is_embeddings(X)


@pytest.mark.parametrize(
    "X",
    [
        np.zeros((2, 3), int), PIXELS, np.zeros(3), torch.zeros(2, 3, 4, 4), PIL, ["a.png"], [], Rows(PIL),
        DataLoader(Rows(PIL)), Stream(), list(torch.zeros(2, 3)), pd.DataFrame({"path": ["a.png"]}),
        {"image": PIL},
        np.array([["a.png"]]), (x for x in PIL),
    ],
)  # fmt: skip
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
        (PIXELS[..., 0], InputError, r"X\[\.\.\., None\]"),
        (PIXELS.transpose(0, 3, 1, 2), InputError, r"transpose\(0, 2, 3, 1\)"),
        (PIXELS / 255, InputError, r"\(X \* 255\)\.astype\('uint8'\)"),
        (PIXELS.astype(np.uint16), InputError, "X >> 8"),
        # https://github.com/pytorch/vision/issues/8782: 0..1 and 0..255 are taken for each other.
        ((PIXELS > 99).astype(np.uint8), InputError, r"0 and 1 only.*X \* 255"),
        ((PLANES / 255).round().to(torch.uint8), InputError, r"0 and 1 only.*X \* 255"),
        (PLANES.permute(0, 2, 3, 1), InputError, r"permute\(0, 3, 1, 2\)"),
        (".", InputError, "folder.*load_image_folder"),
        (Path("."), InputError, "folder.*load_image_folder"),
        (Path(".").glob("*"), InputTypeError, r"list\(X\)"),
        ((x for x in PIL), InputTypeError, r"list\(X\)"),
        (map(str, PIL), InputTypeError, r"list\(X\)"),
        (Stream(), InputTypeError, r"list\(X\)"),
        (DataLoader(Rows(PIL)), InputTypeError, r"X\.dataset"),
        ({"image": PIL, "label": [0]}, InputTypeError, r"X\['image'\]"),
        (pd.DataFrame({"path": ["a"], "label": [1]}), InputTypeError, r"'path', 'label'.*image column"),
        (5, InputTypeError, "int"),
        ({"a": 1}, InputTypeError, "dict"),
    ],
)
def test_other_containers_are_refused(X, error, message):
    with pytest.raises(error, match=message):
        as_image_sequence(X)


def test_only_files_come_smaller_for_a_tower(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (80, 48)).save(path)
    tensor, opened = torch.zeros(3, 48, 80), Image.open(path)
    images = as_image_sequence([str(path), path.read_bytes(), (path, 0), opened, np.asarray(opened), tensor])
    small = images.at_least(24)
    assert [image.size for image in list(small)[:5]] == [(40, 24)] * 3 + [(80, 48)] * 2
    assert [image.size for image in list(images)[:5]] == [(80, 48)] * 5
    assert small[5] is tensor
    assert small.paths == images.paths
    assert small.at_least(24) is small
    assert ImageSequence(1, lambda row: images[0]).at_least(24)[0].size == (80, 48)
