"""CIFAR as its archive holds it, and as Parquet files of the Hugging Face Hub do."""

from __future__ import annotations

import pickletools  # nosec B403
from pathlib import Path
from typing import Any

import numpy as np

from .._files import read_regular
from .._utils import require
from ..errors import InputError

_PIXELS = 3 * 32 * 32
_LARGEST = 2**28  # bytes of a file; the largest batch has 155 million
_MOST_CODES = 2_000_000  # instructions of a pickle; the largest batch has some 300,000
_BATCHES = {
    "cifar-10-batches-py": {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]},
    "cifar-100-python": {"train": ["train"], "test": ["test"]},
}


def is_archive(folder: Path) -> bool:
    """Whether a folder is CIFAR's own, as torchvision unpacks it, or holds Parquet files."""
    return folder.is_dir() and (folder.name in _BATCHES or bool(_parquet(folder)))


def load_archive(folder: Path, part: str) -> tuple[Any, np.ndarray]:
    """The images of a part, ``"train"`` or ``"test"``, and their labels: decimal numbers.

    Images are an array (n, 32, 32, 3) of uint8, or a list of encoded images where files are Parquet.
    """
    if folder.name in _BATCHES:
        read = [_batch(folder / name) for name in _BATCHES[folder.name][part]]
        return tuple(np.concatenate(side) for side in zip(*read, strict=True))  # type: ignore[return-value]
    found = [file for file in _parquet(folder) if file.name.startswith(part)]
    if not found:
        raise InputError(f"{str(folder)!r} has no file {part}-*.parquet.")
    return _tables(found)


def _parquet(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.parquet"), *folder.glob("*/*.parquet")])


def _batch(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and labels of a pickled batch, whose instructions are looked through and not carried out.

    A pickle that is loaded can run any code. All that is needed of this one are the text or bytes of n * 3072
    values, and the numbers that follow the name "labels" or "fine_labels".
    """
    pixels, labels, name = b"", list[int](), ""
    try:
        for i, (code, value, _) in enumerate(pickletools.genops(read_regular(file, _LARGEST))):
            if i > _MOST_CODES:
                raise ValueError(f"it has more than {_MOST_CODES} instructions")
            if isinstance(value, bytes | bytearray | str) and len(value) >= _PIXELS:
                pixels = value.encode("latin-1") if isinstance(value, str) else bytes(value)
            elif isinstance(value, bytes | str):
                name = value.decode("latin-1") if isinstance(value, bytes) else value
            elif name in ("labels", "fine_labels") and code.name.startswith("BININT"):
                labels.append(int(value or 0))
    except Exception as error:  # of a file that is no pickle, it raises what it meets
        raise InputError(f"{str(file)!r} cannot be read as a batch of CIFAR: {error}") from error
    if not labels or len(pixels) != _PIXELS * len(labels):
        raise InputError(
            f"{str(file)!r} is no batch of CIFAR: {len(pixels)} bytes of pixels for {len(labels)} labels."
        )
    images = np.frombuffer(pixels, np.uint8).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return images, np.array(labels).astype(str)


def _tables(found: list[Path]) -> tuple[list[bytes], np.ndarray]:
    parquet = require("pyarrow.parquet", "reading Parquet files", "pip install pyarrow")
    images, labels = list[bytes](), list[int]()
    for file in found:
        try:
            table = parquet.read_table(file)
        except (OSError, ValueError) as error:
            raise InputError(f"{str(file)!r} cannot be read as Parquet: {error}") from error
        names = table.column_names
        image = next((name for name in ("img", "image") if name in names), None)
        label = next((name for name in ("fine_label", "label") if name in names), None)
        if image is None or label is None:
            raise InputError(f"{str(file)!r} has the columns {names}, not img and label or fine_label.")
        images += [cell["bytes"] for cell in table.column(image).to_pylist()]
        labels += table.column(label).to_pylist()
    return images, np.array(labels).astype(str)
