"""Lists, tables and JSON files that name images and classes."""

import functools
import io
import json
import pickle
import sys
import tempfile
from pathlib import Path

import numpy as np
from pyarrow.fs import LocalFileSystem

from skneg._commands._images import expanded, labelled
from skneg.datasets import load_image_list
from skneg.datasets._cifar import load_archive
from skneg.datasets._image_classes import class_keys, class_order, load_class_names, load_split
from skneg.distributed._job import _check_same
from skneg.images import unreadable

from .._forked import RIGHT
from ..images.test_bombs import saved
from ..persistence.conftest import with_bank
from ._bytes import damaged
from ._target import Target
from ._values import spoiled

_LIST = "# labels\n\ncat/a.png 0\ncat/b c.png 1\ncat/../cat/a.png 12\ncat/ä.png\tdog\n".encode()
_TABLE = b'path,label,group\ncat/a.png,cat,1\n"cat/b c.png","dog, small",2\n~/a.png,dog,2\n'
_PATHS = b"cat/a.png\ncat\n\ncat/b c.png\n"
_CLASSES = ["n01440764", "n02085620", "cat", "dog"]
_NAMES = {key: f"{key} name" for key in _CLASSES}
_SPLIT = b"val/n1/a.JPEG,0\nval/n2/b.JPEG,1\nval/n3/c.JPEG,-1\nval/n4/d.JPEG,-2\n"
_SPLITS = {
    "split1": {"id": _CLASSES[:3], "ood": _CLASSES[3:], "open_vocab_first10pct": _CLASSES[:1]},
    "split2": {"id": _CLASSES[1:], "ood": _CLASSES[:1]},
}


def targets(whole):
    lines = "\n".join(f"{key} {name}" for key, name in _NAMES.items()).encode()
    detector = with_bank(["cat", "dog"])[0]
    return [
        _of_text("list of images", _LIST, _read_list),
        _of_text("table of images", _TABLE, _read_table),
        _of_text("paths on standard input", _PATHS, _read_input),
        _of_text("classnames.txt", lines, functools.partial(_read_names, "classnames.txt")),
        _of_json("class_names.json", _NAMES, functools.partial(_read_names, "class_names.json")),
        _of_json("splits_wnids.json", _SPLITS, _read_splits),
        _of_text("p1_test.csv", _SPLIT, functools.partial(_read_splits, name="p1_test.csv")),
        _of_text("batch of CIFAR", _batch(), _read_batch),
        _of_json("job.json", _job(detector), functools.partial(_read_job, detector)),
    ]


def _job(detector):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "job.json"
        _check_same(LocalFileSystem(), str(file), detector, "image", "path")
        return json.loads(file.read_text())


def _of_text(name, data, check):
    return Target(name, lambda rng: damaged(data, rng, [data, rng.bytes(64)]), check)


def _of_json(name, value, check):
    text = json.dumps(value).encode()

    def make(rng):
        if rng.random() < 0.5:
            return damaged(text, rng, [text])
        return json.dumps(spoiled(value, rng)).encode()

    return Target(name, make, check)


def _written(folder, name, data):
    (folder / name).write_bytes(data)
    images = [folder / "cat" / image for image in ("a.png", "b c.png", "ä.png")]
    if not images[0].exists():
        images[0].parent.mkdir()
        for image in images:
            image.write_bytes(saved("PNG", (8, 8)))
    return folder / name


def _read_list(data, folder):
    paths, labels = load_image_list(_written(folder, "list.txt", data), folder)
    assert len(paths) == len(labels) > 0
    order = class_order(labels)
    assert set(order) == set(labels.tolist())
    assert len(class_keys(labels, _CLASSES)) == len(labels)
    return RIGHT


def _read_table(data, folder):
    paths, labels, groups = labelled(str(_written(folder, "table.csv", data)), "skip")
    assert len(paths) == len(labels)
    assert groups is None or len(groups) == len(paths)
    return RIGHT


def _read_input(data, folder):
    sys.stdin = io.TextIOWrapper(io.BytesIO(data), "utf-8")
    paths = list(expanded(["-"]))
    assert len(unreadable(paths)) <= len(paths)
    return RIGHT


def _read_names(name, data, folder):
    names = load_class_names(_written(folder, name, data).parent, _CLASSES)
    assert len(names) == len(_CLASSES)
    assert all(isinstance(name, str) for name in names)
    return RIGHT


def _batch():
    return pickle.dumps({"labels": [3, 1], "data": np.zeros((2, 3072), np.uint8)}, protocol=2)


def _read_batch(data, folder):
    file = folder / "cifar-10-batches-py" / "test_batch"
    file.parent.mkdir(exist_ok=True)
    images, labels = load_archive(_written(file.parent, file.name, data).parent, "test")
    assert images.shape == (len(labels), 32, 32, 3)
    return RIGHT


def _read_splits(data, folder, name="splits_wnids.json"):
    file = _written(folder, name, data)
    known, unknown, first = load_split(file.parent, "Split-1")
    assert not set(known) & set(unknown)
    assert set(first) <= set(known)
    return RIGHT


def _read_job(detector, data, folder):
    file = _written(folder, "job.json", data)
    _check_same(LocalFileSystem(), str(file), detector, "image", "path")
    return RIGHT
