"""Any source of images or embeddings, in parts of some rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

import numpy as np

from ..images import as_image_sequence, is_embeddings
from ._arrow import from_arrow, is_arrow


def parts(source: Any, size: int) -> Iterator[Any]:
    """At most `size` rows of a source at a time, each part as `fit` takes X.

    Blocks, such as arrays or columns of Arrow, come in parts of their own: small ones are not joined.

    Raises
    ------
    InputTypeError, InputError
        If the source is nothing that holds or gives images or embeddings; when it is first asked.
    """
    if hasattr(source, "tocsr"):  # sparse rows are refused, but not every kind has rows
        source = source.tocsr()
    if _is_block(source):
        yield from _pieces(source, size)
    elif _gives_items(source):
        items = iter(source)
        for first in items:
            if _is_block(first):
                for block in chain([first], items):
                    yield from _pieces(block, size)
            else:
                yield _joined([first, *islice(items, size - 1)])
    else:
        images = as_image_sequence(source)
        for start in range(0, len(images), size):
            yield images.take(range(start, min(start + size, len(images))))


def _is_block(X: Any) -> bool:
    """Whether X has many embeddings, or is a column."""
    is_floats = isinstance(X, np.ndarray) and X.ndim > 1 and X.dtype.kind == "f"  # of patches too
    return is_floats or is_arrow(X) or is_embeddings(X)


def _gives_items(source: Any) -> bool:
    """Whether a source must be asked for one item after the other; `as_image_sequence` refuses the rest."""
    if isinstance(source, list | tuple) and source:
        return _is_block(source[0])
    indexed = hasattr(source, "__len__") and hasattr(source, "__getitem__")
    refused = isinstance(source, Mapping) or hasattr(source, "dataset")
    return isinstance(source, Iterable) and not indexed and not refused


def _pieces(block: Any, size: int) -> Iterator[Any]:
    rows = getattr(block, "iloc", block)
    for start in range(0, len(block), size):
        piece = block.slice(start, size) if is_arrow(block) else rows[start : start + size]
        yield from_arrow(piece) if is_arrow(piece) else piece


def _joined(items: list[Any]) -> Any:
    """Items of a generator: single embeddings become a matrix, images stay a list."""
    if all(isinstance(item, np.ndarray) and item.ndim == 1 and item.dtype.kind == "f" for item in items):
        return np.stack(items)
    return items
