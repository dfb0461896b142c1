"""Images to unit-norm embeddings, in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from .._progress import progress_bar
from .._utils import warn
from ..errors import ImageError, InputWarning
from ..images import ImageSequence
from ..images._ahead import read_ahead
from ..images._unreadable import errors_of, warn_of_skipped
from ._local_features import local_forward
from ._pixel_range import PixelRange
from ._preparation import Preparation
from ._splitting import encode_splitting

# Times the tower's size that a JPEG file is decoded to at least. With 4, what the tower sees of small, sharp
# photographs differs from a resize of the whole by at most 1 of 255 in the mean, and 4 at the 99th
# percentile; with 3, for 2 to 4 % of them by more (benchmarks/decoding.py).
_ENOUGH = 4
# Images a thread of a CPU works on at a time: what they take stays in its cache. ViT-B-16 then takes 0.39 s
# an image and RN50 0.15 s, with 32 it is 0.43 s and 0.21 s.
_PER_THREAD = 8
_DARK = 16 / 255  # a pixel value that no whole photograph stays below


class ImageTower:
    """The frozen image tower of a CLIP model, or an image model of timm.

    Attributes
    ----------
    image_size : tuple of int
        Height and width that the tower sees, in pixels.
    """

    def __init__(
        self,
        network: Any,
        device: torch.device,
        dtype: torch.dtype,
        preparation: Preparation | None = None,
    ) -> None:
        self._network = network
        self._device = device
        self._dtype = dtype
        self._is_cuda = device.type == "cuda"
        self._layout = torch.contiguous_format
        if self._is_cuda:  # tensor cores convolve pixels whose channels lie side by side
            self._layout = torch.channels_last
            network.visual.to(memory_format=self._layout)
        self._preparation = preparation or Preparation.of_open_clip(network.visual.preprocess_cfg)
        self._mean_and_std = (self._preparation.mean, self._preparation.std)
        self._forward_local: Callable[[torch.Tensor], torch.Tensor] | None = None
        self.image_size = self._preparation.size

    def encode(
        self,
        images: Sequence[Any],
        batch_size: int = 64,
        verbose: bool = False,
        *,
        local: bool = False,
        on_error: str = "raise",
    ) -> np.ndarray:
        """Encode images, in order.

        Parameters
        ----------
        images : sequence of PIL images or float tensors
            RGB Pillow images, or tensors (3, height, width) already preprocessed for this tower.
        batch_size : int, default=64
            Images per forward pass; on a CPU at most 8 for each of its threads. Halved, for this call, when
            the device runs out of memory.
        verbose : bool, default=False
            Whether to show a progress bar.
        local : bool, default=False
            Whether to give the embeddings of the image's patches as well.
        on_error : {"raise", "skip"}, default="raise"
            What to do with images that cannot be read: raise once all have been looked at, or give them
            rows of NaN, with an `InputWarning` that names them.

        Returns
        -------
        ndarray of shape (n, d) or (n, 1 + patches, d), float32
            Unit-norm embeddings; with ``local=True``, index 0 of the second axis is the whole image.

        Raises
        ------
        ImageError
            If images cannot be read, or are tensors of another size than the tower's; names all of them. Also
            with ``on_error="skip"`` where there is no other.
        InputError
            If tensors are not normalised; see `PixelRange`.
        SknegError
            If not even one image fits into memory.
        BackboneError
            If the tower has no local features and ``local=True``.
        """
        if local and self._forward_local is None:
            self._forward_local = local_forward(self._network.visual)
        if isinstance(images, np.ndarray):  # what `pixels` gives
            images = torch.from_numpy(images)
        forward = self._forward_local if local else self._network.encode_image
        chunks, values, n_dark = [], PixelRange(*self._mean_and_std), 0
        bad: dict[int, ImageError] = {}
        dark = torch.tensor([(_DARK - m) / s for m, s in zip(*self._mean_and_std, strict=True)])
        images = self._as_needed(images)
        if self._device.type == "cpu":
            batch_size = min(batch_size, _PER_THREAD * torch.get_num_threads())

        def read(row: int) -> tuple[torch.Tensor, bool]:
            try:
                return self._pixels(images[row], row)
            except ImageError as error:
                bad[row] = error
                return torch.zeros(3, *self.image_size), False

        with (
            # While the tower works on one batch, threads read the next.
            read_ahead(read, len(images), batch_size) as prepared,
            progress_bar(len(images), "encoding images", "img", verbose) as bar,
        ):
            start = 0
            while start < len(images):
                read_now = list(islice(prepared, batch_size))
                start += len(read_now)
                bar.update(len(read_now))
                if bad and on_error == "raise":
                    continue  # the others are read, for one error of all, but not encoded
                pixels = self._stacked(read_now, values)
                n_dark += int((pixels.amax((2, 3)) <= dark).all(dim=1).sum())
                pieces, batch_size = encode_splitting(
                    lambda piece: self._forward(piece, forward), (pixels,), batch_size, "image"
                )
                chunks += pieces
        if bad and (on_error == "raise" or len(bad) == len(images)):
            raise ImageError.of(list(bad.values()))
        if 2 * n_dark > len(images) > 1:
            warn(
                f"{n_dark} of {len(images)} images are all but black (no pixel above {_DARK * 255:.0f} of "
                "255). Pixels from 0..1 or of few bits must be scaled to 0..255 before they are made uint8.",
                InputWarning,
            )
        embeddings = np.concatenate(chunks)
        if bad:
            embeddings[list(bad)] = np.nan
            warn_of_skipped(list(bad.values()))
        return embeddings

    def unreadable(self, images: Sequence[Any]) -> list[ImageError]:
        """What is wrong with each image that cannot be read or that this tower refuses."""
        return errors_of(lambda row: self._pixels(images[row], row), len(images))

    def pixels(self, images: Sequence[Any], rows: Sequence[int]) -> np.ndarray:
        """Preprocessed pixels (n, 3, height, width), float32, of some of the images."""
        images = self._as_needed(images)
        numbers = [int(row) for row in rows]
        try:
            with read_ahead(lambda i: self._pixels(images[numbers[i]], numbers[i]), len(numbers)) as prepared:
                read = list(prepared)
        except ImageError as error:
            raise ImageError.of(self.unreadable(images) or [error]) from error
        return self._stacked(read, PixelRange(*self._mean_and_std)).numpy()

    def perturbed_cosines(
        self, pixels: np.ndarray, text: np.ndarray, epsilon: float, temperature: float
    ) -> np.ndarray:
        """Cosines to texts after one signed gradient step of the pixels towards the predicted class.

        Parameters
        ----------
        pixels : ndarray of shape (n, 3, height, width), float32
            Preprocessed images.
        text : ndarray of shape (k, d)
            Unit-norm text embeddings.
        epsilon : float
            Length of the step in each pixel; 0 leaves the images as they are.
        temperature : float
            What cosines are divided by in the cross-entropy.

        Returns
        -------
        ndarray of shape (n, k), float32
        """
        x = torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32)).to(self._device)
        bank = torch.from_numpy(np.ascontiguousarray(text)).to(self._device)

        def cosines(x: torch.Tensor) -> torch.Tensor:
            with self._autocast():
                features = self._network.encode_image(x)
            return functional.normalize(features.float(), dim=-1) @ bank.T

        if epsilon > 0:
            x.requires_grad_()
            z = cosines(x)
            # Summed, not averaged: an image's step must not depend on the others of its batch.
            loss = functional.cross_entropy(z / temperature, z.detach().argmax(1), reduction="sum")
            x = x.detach() - epsilon * torch.autograd.grad(loss, x)[0].sign()
        with torch.no_grad():
            return cosines(x).cpu().numpy()

    def _as_needed(self, images: Sequence[Any]) -> Sequence[Any]:
        """The images, as large as resizing them to the tower's size needs."""
        return (
            images.at_least(_ENOUGH * self._preparation.resized)
            if isinstance(images, ImageSequence)
            else images
        )

    def _pixels(self, image: Any, index: int) -> tuple[torch.Tensor, bool]:
        """What the tower sees of an image, and whether the user has preprocessed it."""
        if not isinstance(image, torch.Tensor):
            return self._preparation.transform(image), False
        if tuple(image.shape) != (3, *self.image_size):
            raise ImageError(
                f"image {index} is a float tensor of shape {tuple(image.shape)}; preprocessed images of "
                f"this model are (3, {self.image_size[0]}, {self.image_size[1]}).",
                index,
            )
        if not bool(torch.isfinite(image).all()):
            raise ImageError(f"image {index} holds NaN or infinite values.", index)
        return image.to("cpu", torch.float32), True

    def _stacked(self, prepared: Sequence[tuple[torch.Tensor, bool]], values: PixelRange) -> torch.Tensor:
        """A batch of what `_pixels` gives, where the user's own preprocessing is checked."""
        # From pinned memory a GPU takes it without one more copy.
        pixels = torch.empty((len(prepared), 3, *self.image_size), pin_memory=self._is_cuda)
        torch.stack([image for image, _ in prepared], out=pixels)
        values.add(pixels[[is_own for _, is_own in prepared]])
        return pixels

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, self._dtype, enabled=self._dtype != torch.float32)

    @torch.inference_mode()
    def _forward(self, pixels: torch.Tensor, forward: Any) -> np.ndarray:
        with self._autocast():
            features = forward(pixels.to(self._device, non_blocking=True, memory_format=self._layout))
        return functional.normalize(features.float(), dim=-1).cpu().numpy()
