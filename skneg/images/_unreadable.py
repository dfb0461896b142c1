"""Which images cannot be read, before anything is done with the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .._utils import warn
from ..errors import ImageError, InputWarning
from ._ahead import read_ahead
from ._inputs import as_image_sequence


def unreadable(X: Any) -> list[ImageError]:
    """What is wrong with each image that cannot be read.

    What reads images says so too, in one `ImageError` that has all of them as ``errors``. To go on without::

        bad = {error.index for error in unreadable(paths)}
        paths = [path for i, path in enumerate(paths) if i not in bad]

    Parameters
    ----------
    X : sequence of images
        As in `fit`. Each is decoded once; none is kept.

    Returns
    -------
    list of ImageError
        In the order of X; each has its ``index``. Empty where all can be read.

    Raises
    ------
    InputTypeError, InputError
        If X is no sequence of images, or is empty.

    Examples
    --------
    >>> from skneg.datasets import make_scenes
    >>> from skneg.images import unreadable
    >>> X, _ = make_scenes(3, random_state=0)
    >>> [error.index for error in unreadable([*X, b"broken"])]
    [3]
    """
    images = as_image_sequence(X)

    return errors_of(images.__getitem__, len(images))


def errors_of(read: Callable[[int], Any], n: int) -> list[ImageError]:
    """What is wrong with each of n images that `read` refuses."""

    def error_of(row: int) -> ImageError | None:
        try:
            read(row)
        except ImageError as error:
            return error
        return None

    with read_ahead(error_of, n) as errors:
        return [error for error in errors if error is not None]


def warn_of_skipped(errors: Sequence[ImageError]) -> None:
    """Name images whose embeddings are rows of NaN."""
    warn(f"rows of NaN stand for {len(errors)} skipped images. {ImageError.of(errors)}", InputWarning)
