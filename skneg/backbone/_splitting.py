"""Batches that become smaller when the device runs out of memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from ..errors import SknegError

T = TypeVar("T")


def encode_splitting(
    forward: Callable[..., T], batch: tuple[torch.Tensor, ...], size: int, what: str
) -> tuple[list[T], int]:
    """What `forward` gives for the pieces of a batch, and the size of a piece that fits into memory.

    Parameters
    ----------
    forward : callable
        Takes a piece of each tensor.
    batch : tuple of Tensor, each of shape (n, ...)
    size : int
        Rows of a piece to begin with; halved until the pieces fit.
    what : str
        What a row is called in an error.

    Raises
    ------
    SknegError
        If not even one row fits.
    """
    while True:
        try:
            pieces = zip(*(tensor.split(size) for tensor in batch), strict=True)
            return [forward(*piece) for piece in pieces], size
        except torch.OutOfMemoryError as error:
            if size == 1:
                raise SknegError(
                    f"The device has too little memory to encode one {what}; use device='cpu'."
                ) from error
            size = max(1, min(size, len(batch[0])) // 2)
