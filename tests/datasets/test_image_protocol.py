"""Sets of images that are read when they are used."""

from pathlib import Path

import numpy as np
import pytest

from skneg.datasets import ImageProtocol, ImageSet
from skneg.errors import InputError


@pytest.fixture
def read():
    return []


@pytest.fixture
def protocol(read, tmp_path):
    def image_set(name, group, keys, place=tmp_path, expected=None):
        def load():
            read.append(name)
            return [Path(f"{i}.jpg") for i in range(len(keys))], np.array(keys)

        return ImageSet(
            name, name.upper(), group, place, expected, f"put {name} here", load, lambda: ["b", "a"]
        )

    near = {"NEAR": image_set("near", "near", ["", ""], expected=3)}
    far = {"FAR": image_set("far", "far", [], place=None)}
    train, test = image_set("train", "train", ["a", "b", "a"], expected=3), image_set("test", "test", ["b"])
    return ImageProtocol(
        "toy",
        "A toy",
        tmp_path,
        train,
        test,
        near,
        far,
        {},
        ["needed.json"],
        lambda: ["b", "a"],
        lambda: ["b", "a"],
    )


def test_nothing_is_read_before_it_is_used_and_then_once(protocol, read):
    assert protocol.missing == ["far", "needed.json"]
    assert "3 of 4 sets" in repr(protocol)
    assert read == []
    assert protocol.train.labels.tolist() == [1, 0, 1]
    assert len(protocol.train) == len(protocol.train.images) == 3
    assert read == ["train"]


def test_images_in_no_class_have_the_label_of_the_unknown(protocol):
    assert protocol.near["NEAR"].labels.tolist() == [-1, -1]
    assert not protocol.near["NEAR"].is_known
    assert protocol.ood == {**protocol.near, **protocol.far}


def test_what_is_strange_is_said(protocol, tmp_path):
    problems = {one.name: one.problem for one in protocol.sets}
    too_few = f"2 of 3 images in {str(tmp_path)!r}: put near here"
    assert problems == {"train": None, "test": None, "near": too_few, "far": "missing: put far here"}
    with pytest.raises(InputError, match="'far' is not there: put far here"):
        len(protocol.far["FAR"])


def test_the_table_has_a_row_for_each_set_and_the_problems_below(protocol, tmp_path):
    assert str(protocol).splitlines() == [
        "toy: A toy",
        "set    group  images  expected",
        "train  train       3         3",
        "test   test        1         ?",
        "near   near        2         3",
        "far    far         -         ?",
        f"near: 2 of 3 images in {str(tmp_path)!r}: put near here",
        "far: missing: put far here",
        "needed.json: missing",
    ]
