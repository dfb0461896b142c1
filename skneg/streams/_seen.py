"""What a detector sees of each part of a stream, with the rows that cannot be read set aside."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from .._sklearn import Prepare
from .._state import FittedState
from .._utils import check_at_least, check_option
from ..errors import ImageError, InputError
from ..images import ImageSequence, is_embeddings
from ..images._inputs import images_or_none
from ..inspection._explain import one_detector
from ._parts import parts

_SHOWN = 10  # bad embeddings that an error names


@dataclass(frozen=True, eq=False)
class Seen:
    """Some rows of a stream, each encoded once.

    Attributes
    ----------
    index : ndarray of shape (n,), int
        Their places in the stream.
    rows : ndarray of shape (m,), int
        Those of the n that could be read.
    errors : dict of int to str
        What is wrong with each of the others.
    paths : list of str or None
        Where the n images lie.
    images : ImageSequence or None
        The m images that could be read.
    detector, state, Z
        The detector, its state, and what it sees of the m rows; Z is None where m is 0.
    """

    index: np.ndarray
    rows: np.ndarray
    errors: dict[int, str]
    paths: list[str] | None
    images: ImageSequence | None
    detector: Any
    state: FittedState
    Z: Any


def see(estimator: Any, source: Any, chunk: int, on_error: str, user: str) -> Iterator[Seen]:
    """Parts of a stream; parameters and errors as of `predict_stream`, which are checked at once."""
    check_at_least("chunk", chunk, 1, Integral)
    check_option("on_error", on_error, ("raise", "skip"))
    detector, prepare = one_detector(estimator, user)
    # One state for the whole stream, whatever is fitted or calibrated meanwhile.
    detector = copy(detector)
    state = detector._fitted()
    return _parts_seen(detector, prepare, state, parts(source, chunk), on_error)


def _parts_seen(
    detector: Any, prepare: Prepare, state: FittedState, given: Iterator[Any], on_error: str
) -> Iterator[Seen]:
    start = 0
    for X in given:
        images = images_or_none(X)
        X = X if images is None else images
        n, errors, Z = len(X), dict[int, str](), None
        rows = np.arange(n)
        while len(rows):
            seen = part = X if len(rows) == n else _take(X, rows)
            try:
                seen = prepare(part)
                _, Z = detector._see(seen)
                # Pixels are else read while they are scored, when it is too late to go on without some.
                unread: list[ImageError] = Z.unreadable() if hasattr(Z, "unreadable") else []
                if unread:
                    raise ImageError.of(unread)
                break
            except InputError as error:
                bad = _bad_rows(seen, error, start + rows, on_error)
            errors |= {int(rows[row]): told for row, told in bad.items()}
            rows = np.setdiff1d(rows, rows[list(bad)])
        kept = None if images is None else images.take(rows.tolist())
        paths = None if images is None else images.paths
        yield Seen(np.arange(start, start + n), rows, errors, paths, kept, detector, state, Z)
        start += n


def _take(X: Any, rows: np.ndarray) -> Any:
    return X.take(rows.tolist()) if isinstance(X, ImageSequence) else getattr(X, "iloc", X)[rows]


def _bad_rows(X: Any, error: InputError, places: np.ndarray, on_error: str) -> dict[int, str]:
    """Rows of X with what is wrong with each, where `error` comes from such rows; else it is raised."""
    if isinstance(error, ImageError):
        if on_error == "raise":
            raise error.among(places.tolist()) from error
        return {bad.index: str(bad).replace(f"image {bad.index} ", "image ", 1) for bad in error.errors}
    values = _values(X) if is_embeddings(X) else np.zeros((0, 1))
    unusable = {
        "is missing, of another width, or has NaN or infinity": ~np.isfinite(values).all(axis=1),
        "is all zeros": ~values.any(axis=1),
    }
    told = {
        int(row): f"the embedding {what}" for what, bad in unusable.items() for row in np.flatnonzero(bad)
    }
    if not told:
        raise error
    if on_error == "raise":
        shown = "; ".join(f"row {places[row]}: {told[row]}" for row in sorted(told)[:_SHOWN])
        more = f"; and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
        raise InputError(f"{shown}{more}.") from error
    return told


def _values(X: Any) -> np.ndarray:
    """Embeddings as an array; none where they make no matrix."""
    try:
        if hasattr(X, "iloc"):
            return X.to_numpy(dtype=np.float64, na_value=np.nan)
        return np.asarray(X.detach().float().cpu() if hasattr(X, "detach") else X, dtype=np.float64)
    except (TypeError, ValueError):
        return np.zeros((0, 1))
