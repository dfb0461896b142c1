"""Files of weights: nothing in them is run, and they make no more of themselves than they hold."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from .._files import open_regular

# How weights in a model folder end.
SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")

# Of other models than open_clip's; open_clip has a reader of its own for them, which was not looked into.
_OF_NUMPY = (".npz", ".npy")


def check_weights(path: str | os.PathLike) -> None:
    """Refuse a file that is not regular, or no file of weights, before anything else opens it.

    Raises
    ------
    ValueError, OSError, pickle.UnpicklingError, ...
        What is wrong with it, in whatever way its reader says that.
    """
    path = Path(path)
    if path.suffix in _OF_NUMPY:
        raise ValueError(f"{path.name!r}: numpy's files are not read; convert it to safetensors")
    if path.suffix == ".safetensors":
        with open_regular(path):
            pass
        with safe_open(path, framework="pt"):  # compares its header with its size
            return
    # open_clip tries once more in another way where this raises a TypeError: so it must not come to that.
    held = read_pickled(path)
    state = held.get("state_dict", held) if isinstance(held, dict) else None
    if not isinstance(state, dict):
        raise ValueError("it holds no dict of weights")
    for name, value in state.items():
        if isinstance(value, torch.Tensor) and not is_held(value):
            raise ValueError(f"{name} has fewer numbers than its shape says")


def read_pickled(path: str | os.PathLike) -> Any:
    """What ``torch.save`` wrote, tensors and plain containers only; errors are those of `check_weights`.

    A file in the usual layout is mapped, not read: what is not used takes no memory.
    """
    with open_regular(path) as file:
        is_zip = zipfile.is_zipfile(file)
        size = os.fstat(file.fileno()).st_size
        if is_zip:
            file.seek(0)
            with zipfile.ZipFile(file) as parts:
                entries = parts.infolist()
            # torch stores without compression; a megabyte of compressed zeros would be a gigabyte of weights.
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise ValueError("it is compressed, which torch.save never does")
            if sum(entry.file_size for entry in entries) > size:
                raise ValueError("its parts are larger than itself")
    return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)


def is_held(tensor: torch.Tensor) -> bool:
    """Whether a tensor has a number in the file for each of its own: some kinds repeat one without end."""
    if tensor.layout != torch.strided or tensor.is_meta:
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()
