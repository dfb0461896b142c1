"""More views of few images."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from .._utils import check_at_least, check_seed
from ..errors import InputError
from ._inputs import ImageSequence, as_image_sequence, is_embeddings

# Those of the usual random crop (Szegedy et al., CVPR 2015), with a larger smallest area: what shows the
# class should stay in it.
_AREA = (0.5, 1.0)
_RATIO = (3 / 4, 4 / 3)


def augmented_views(
    X: Any,
    y: Any,
    n_views: int = 4,
    random_state: int | np.random.RandomState | None = None,
    *,
    area: tuple[float, float] = _AREA,
) -> tuple[ImageSequence, np.ndarray, np.ndarray]:
    """Each image and random crops of it, every other one mirrored, for `fit` on few images.

    With one to five images a class, crops tell a detector that goes by images which differences mean
    nothing. They are no new images: hand on the groups, so that none counts as new beside its own image::

        views, labels, groups = augmented_views(X, y)
        detector.fit(views, labels, groups=groups)

    Parameters
    ----------
    X : sequence of images
        As in `fit`; not embeddings.
    y : array-like of shape (n,)
        Their labels.
    n_views : int, default=4
        Crops of each image. They have sides of its ratio times 3/4 to 4/3.
    random_state : int, RandomState or None, default=None
        Decides the crops.
    area : pair of float, default=(0.5, 1.0)
        The smallest and the largest share of an image's area that a crop has. Small crops miss what the image
        shows.

    Returns
    -------
    views : ImageSequence of length n (1 + n_views)
        The images, then a crop of each, then another of each, and so on; made when asked for.
    labels : ndarray of shape (n (1 + n_views),)
    groups : ndarray of shape (n (1 + n_views),), int
        Number of the image that each view is of.

    Raises
    ------
    InputError
        If X holds embeddings, or y has another length; and, when a view is asked for, if X holds tensors
        that are already preprocessed.

    Examples
    --------
    >>> from skneg.datasets import make_scenes
    >>> from skneg.images import augmented_views
    >>> views, labels, groups = augmented_views(*make_scenes(3, random_state=0), n_views=1, random_state=0)
    >>> len(views), groups.tolist()
    (6, [0, 1, 2, 0, 1, 2])
    """
    check_at_least("n_views", n_views, 1, Integral)
    if not (isinstance(area, Sequence) and len(area) == 2 and 0 < area[0] <= area[1] <= 1):
        raise InputError(f"area must be two shares with 0 < smallest <= largest <= 1, got {area!r}.")
    if is_embeddings(X):
        raise InputError("X holds embeddings, of which there are no crops: give the images.")
    images, labels, seed = as_image_sequence(X), np.asarray(y), check_seed(random_state).randint(2**31)
    n = len(images)
    if labels.shape != (n,):
        raise InputError(f"y has shape {labels.shape}, expected ({n},): a label for each image.")

    def load(i: int) -> Image.Image:
        view, row = divmod(i, n)
        image = images[row]
        if not isinstance(image, Image.Image):
            raise InputError("X holds preprocessed tensors, which cannot be cropped: give the images.")
        return _crop(image, np.random.RandomState([seed, i]), view % 2 == 1, area) if view else image

    times = 1 + n_views
    return ImageSequence(n * times, load), np.tile(labels, times), np.tile(np.arange(n), times)


def _crop(
    image: Image.Image, rng: np.random.RandomState, mirror: bool, area: tuple[float, float]
) -> Image.Image:
    size, ratio = np.array(image.size), np.exp(rng.uniform(*np.log(_RATIO)))
    sides = size * np.sqrt(rng.uniform(*area) * np.array([ratio, 1 / ratio]))
    sides = np.clip(np.rint(sides).astype(int), 1, size)
    corner = rng.randint(0, size - sides + 1)
    crop = image.crop((*corner.tolist(), *(corner + sides).tolist()))
    return ImageOps.mirror(crop) if mirror else crop
