"""What the values of preprocessed images say about how they were normalised."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .._utils import warn
from ..errors import InputError, InputWarning

# Resizing floats overshoots at edges by less than this share of the range.
_OVERSHOOT = 0.1
_END = (
    0.05  # how near to 0 and 1 images must come that hold black and white; images of little contrast do not
)


class PixelRange:
    """Watches whether preprocessed images are normalised as a model wants, over the batches of one call.

    Images within 0..1 are none of a model whose black lies below 0: they would hold nothing darker than
    grey. What another mean and std have normalised is seen only where black and white pixels leave the
    model's range, or end exactly at -1 and 1.

    Parameters
    ----------
    mean, std : sequence of float
        By which the model's own preprocessing normalises the channels.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self._own = (
            min(-m / s for m, s in zip(mean, std, strict=True)),
            max((1 - m) / s for m, s in zip(mean, std, strict=True)),
        )
        self._seen: list[float] = []
        self._warned = False

    def add(self, pixels: torch.Tensor) -> None:
        """Refuse images that are not normalised; warn, once, of those that may be so in another way, or not.

        Raises
        ------
        InputError
            If the values so far lie between 0 and 1 and reach both, or go to 255.
        """
        if len(pixels) == 0:
            return
        self._seen.extend(value.item() for value in pixels.aminmax())
        low, high = min(self._seen), max(self._seen)
        black, white = self._own
        if low == high:  # blank images tell nothing
            return
        has = f"X holds float tensors from {low:.3g} to {high:.3g}"
        wanted = f"pixels normalised for this model lie between {black:.3g} and {white:.3g}"
        is_byte = high > black + 2 * (white - black)
        is_unit = black < -_OVERSHOOT <= low and high <= 1 + _OVERSHOOT
        if is_byte or (is_unit and low < _END and high > 1 - _END):
            line = "X.to(torch.uint8)" if is_byte else "(X * 255).to(torch.uint8)"
            raise InputError(
                f"{has}, which are not normalised: {wanted}. Pass {line}, which skneg normalises itself."
            )
        overshoot = _OVERSHOOT * (white - black)
        is_outside = low < black - overshoot or high > white + overshoot
        is_half = (low, high) == (-1, 1) and max(abs(black + 1), abs(white - 1)) > overshoot
        if not self._warned and (is_outside or is_half or is_unit):
            self._warned = True
            what = (
                "perhaps they are not normalised"
                if is_unit
                else "another mean and std gives other embeddings"
            )
            warn(
                f"{has}, but {wanted}: {what}. Pass pixels as uint8, which skneg normalises itself, or use "
                "the model's own mean and std.",
                InputWarning,
            )
