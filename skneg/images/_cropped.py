"""Images with random crops of each, which are made when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._inputs import ImageSequence
from ._views import augmented_views


@dataclass(frozen=True, eq=False)
class CroppedImages:
    """Embeddings (n, d), which of all images these are, and what makes their crops from a seed."""

    embeddings: np.ndarray
    rows: np.ndarray
    make: Callable[[int, np.ndarray], np.ndarray]

    @classmethod
    def of(
        cls,
        embeddings: np.ndarray,
        images: ImageSequence,
        embed: Callable[[Any], np.ndarray],
        n_crops: int,
        area: tuple[float, float],
    ) -> CroppedImages:
        """Images whose crops are embedded once, and kept for as long as any of these objects.

        Crops of some rows are those that images would have which are no more than these.

        Parameters
        ----------
        embeddings : ndarray of shape (n, d)
        images : ImageSequence of length n
        embed : callable
            From images to embeddings.
        n_crops : int
            Crops of each image.
        area : tuple of float
            See `augmented_views`.
        """
        made: dict[int, tuple[np.ndarray, np.ndarray]] = {}

        def make(seed: int, rows: np.ndarray) -> np.ndarray:
            if seed not in made or not np.isin(rows, made[seed][0]).all():
                made.clear()
                n, taken = len(rows), np.sort(rows)
                some = ImageSequence(n, lambda i: images[int(taken[i])])
                views = augmented_views(some, np.zeros(n), n_crops, seed, area=area)[0]
                made[seed] = taken, embed(views).reshape(1 + n_crops, n, -1)[1:].swapaxes(0, 1)
            taken, crops = made[seed]
            return crops[np.searchsorted(taken, rows)]

        return cls(embeddings, np.arange(len(images)), make)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Any) -> CroppedImages:
        """Some of the images; `rows` is what selects rows of an array."""
        return CroppedImages(self.embeddings[rows], self.rows[rows], self.make)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.embeddings, dtype=dtype, copy=copy)

    def crops(self, seed: int) -> np.ndarray:
        """Embeddings (n, n_crops, d) of the crops."""
        return self.make(seed, self.rows)
