"""What detectors share that look at an image's patches as well as at the whole."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..bank import TextBank
from ..errors import InputError
from ..scores import local_mcm, mcm


def need_patches(detector: Any, images: Any) -> None:
    """Refuse a matrix of whole-image embeddings: patches cannot be had from it."""
    if isinstance(images, np.ndarray) and images.ndim == 2:
        raise InputError(
            f"{type(detector).__name__} looks at image patches, which a 2-D matrix of embeddings does not "
            "hold: give images, or the 3-D output of CLIPImageEncoder(local=True)."
        )


def global_local_mcm(bank: TextBank, Z: np.ndarray, temperature: float, local_weight: float) -> np.ndarray:
    """MCM of the whole image plus `local_weight` times that of its best patch (GL-MCM).

    Parameters
    ----------
    bank : TextBank
    Z : ndarray of shape (n, 1 + patches, d)
        Embeddings of the whole image, then of its patches.
    temperature, local_weight : float

    Returns
    -------
    ndarray of shape (n,), float64
    """
    whole = np.exp(mcm(Z[:, 0] @ bank.positive.T, temperature))
    if local_weight == 0:
        return whole
    # One image at a time: the cosines of all patches to all classes would fill the memory.
    best = [local_mcm(z[None, 1:] @ bank.positive.T, temperature)[0] for z in Z]
    return whole + local_weight * np.array(best, dtype=np.float64)
