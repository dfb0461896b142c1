"""Two models as one: CLIP, and beside it another that sees the same images.

An image has both embeddings side by side, each divided by the square root of 2; a text has CLIP's, and zeros
in the place of the other. So embeddings have length 1. A cosine of image and text is CLIP's own divided by
the square root of 2, and so is the temperature: cosines divided by it are those of CLIP alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from .._utils import unheard
from ..errors import BackboneError, ImageError, InputWarning
from ._image_tower import ImageTower
from ._text_tower import TextTower

ROOT = np.sqrt(np.float32(2))


class PairedImageTower:
    """Two image towers; an embedding has the columns of both.

    Attributes
    ----------
    towers : tuple of two ImageTower
    image_size : tuple of int
        Height and width that the first tower sees, in pixels.
    """

    def __init__(self, first: ImageTower, second: ImageTower) -> None:
        self.towers = (first, second)
        self.image_size = first.image_size
        self._dtype = first._dtype

    def encode(
        self,
        images: Sequence[Any],
        batch_size: int = 64,
        verbose: bool = False,
        *,
        local: bool = False,
        on_error: str = "raise",
    ) -> np.ndarray:
        """Embeddings (n, d1 + d2), float32, of length 1; see `ImageTower.encode`."""
        if local:
            raise self._refusal("local features")
        halves = []
        for number, tower in enumerate(self.towers):
            with unheard(InputWarning) if number else nullcontext():  # it would say the same again
                halves.append(tower.encode(images, batch_size, verbose, on_error=on_error))
        return np.concatenate(halves, axis=1) / ROOT

    def unreadable(self, images: Sequence[Any]) -> list[ImageError]:
        """What is wrong with each image that cannot be read or that a tower refuses."""
        found = {error.index: error for tower in self.towers[::-1] for error in tower.unreadable(images)}
        return [found[row] for row in sorted(found)]

    def pixels(self, images: Sequence[Any], rows: Sequence[int]) -> np.ndarray:
        """Refused: the towers see other pixels."""
        raise self._refusal("one kind of pixels")

    @property
    def _network(self) -> Any:
        raise self._refusal("one network")

    def _refusal(self, what: str) -> BackboneError:
        return BackboneError(f"two models do not have {what}, which this needs: take one of them as model.")


class PairedTextTower(TextTower):
    """CLIP's text tower, with zeros in its embeddings for what the other model sees.

    Attributes
    ----------
    alone : TextTower
        CLIP's own.
    """

    def __init__(self, alone: TextTower, n_more: int) -> None:
        super().__init__(alone._network, alone._tokenizer, alone.device, alone._dtype)
        self.alone = alone
        self._n_more = n_more

    @property
    def temperature(self) -> float:
        """The model's own, as cosines are: divided by the square root of 2."""
        return float(self.alone.temperature / ROOT)

    def project(self, states: torch.Tensor) -> torch.Tensor:
        """See `TextTower.project`."""
        return functional.pad(super().project(states), (0, self._n_more))

    def encode_tokens(self, tokens: torch.Tensor) -> torch.Tensor:
        """See `TextTower.encode_tokens`."""
        return functional.pad(super().encode_tokens(tokens), (0, self._n_more))


def of_text_alone(tower: TextTower, *embeddings: np.ndarray | None) -> tuple[Any, ...]:
    """CLIP's own tower and embeddings, of a pair's; of one model, what was given."""
    if not isinstance(tower, PairedTextTower):
        return tower, *embeddings
    width = tower.alone.embed_dim
    halves = (None if part is None else part[:, :width] for part in embeddings)
    return tower.alone, *(None if half is None else _unit(half) for half in halves)


def _unit(half: np.ndarray) -> np.ndarray:
    return half / np.linalg.norm(half, axis=1, keepdims=True)
