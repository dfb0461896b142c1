"""`predict_stream`: any number of rows in, a table of answers for some of them at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..vocabulary import mark_unknown
from ._predictions import Predictions
from ._seen import Seen, see

_LABELS = ("label", "nearest_class")


def predict_stream(
    detector: Any, images: Any, chunk: int = 1024, *, on_error: str = "raise"
) -> Iterator[Predictions]:
    """Answers to any number of images or embeddings, `chunk` rows at a time; docs/streams.md.

    A chunk is read when it is asked for, encoded once, and forgotten. So memory depends on `chunk`, and
    not on how many rows there are.

    Parameters
    ----------
    detector : fitted detector
        Or a fitted Pipeline that ends in one, or a search over either. All answers come from what it knows
        at the call.
    images : iterable of images or of embeddings, or X as in `fit`
        Such as a generator of paths, a data set, a 2-D float array (also `numpy.memmap`); an iterable of
        single embeddings, of 2-D blocks of them, or of columns of Arrow with paths, bytes or embeddings
        (``pyarrow.parquet.ParquetFile(file).iter_batches(columns=["path"])``). Of a generator, a chunk of
        items is in memory; files and data sets are decoded ``batch_size`` at a time.
    chunk : int, default=1024
        Rows of a table. Blocks come in tables of their own, which may be smaller.
    on_error : {"raise", "skip"}, default="raise"
        What to do with an image that cannot be read, or an embedding with NaN or of zeros: raise, or give
        its row an error and go on.

    Yields
    ------
    Predictions
        Columns ``index``, ``label``, ``score``, ``decision``, ``p_value``, ``nearest_class``,
        ``posterior``, ``error``, and ``path`` where images are files.

    Raises
    ------
    ImageError
        If images cannot be read; its ``errors`` has one for each of a chunk, with ``index`` in the stream.
    InputError, InputTypeError
        If `images` is nothing that gives images or embeddings, or a parameter is not usable.

    See Also
    --------
    skneg.distributed.predict : The same on many machines.

    Examples
    --------
    >>> from skneg import MCMDetector
    >>> from skneg.datasets import make_scenes
    >>> from skneg.streams import predict_stream
    >>> X, y = make_scenes(100, shapes=["star", "heart"], random_state=0)
    >>> detector = MCMDetector(model="skneg-tiny").fit(X, y)
    >>> tables = list(predict_stream(detector, (image for image in X), chunk=40))
    >>> [len(table) for table in tables], tables[1].index[:3]
    ([40, 40, 20], array([40, 41, 42]))
    >>> (tables[0].label == detector.predict(X[:40])).all()
    np.True_
    """
    # Not a generator itself: what is wrong with a parameter is said at the call.
    return map(_answers, see(detector, images, chunk, on_error, "predict_stream"))


def _answers(seen: Seen) -> Predictions:
    state, n = seen.state, len(seen.index)
    if seen.Z is None:
        score, posterior = np.empty(0), np.empty((0, len(state.classes_)))
    else:
        score, posterior = seen.detector._judge(state, seen.Z)
    nearest = state.classes_[posterior.argmax(axis=1)]
    label = nearest
    if state.unknown_label is not None:
        label = mark_unknown(nearest, score < state.offset_, state.unknown_label)
    columns = {
        "label": label,
        "score": score,
        "decision": score - state.offset_,
        "p_value": state.calibrator.p_values(score),
        "nearest_class": nearest,
        "posterior": posterior.max(axis=1, initial=0),
    }
    if seen.errors:
        columns = {name: _spread(values, seen.rows, n, name in _LABELS) for name, values in columns.items()}
    error = np.full(n, None, dtype=object)
    for row, told in seen.errors.items():
        error[row] = told
    path = None if seen.paths is None else np.array(seen.paths, dtype=object)
    return Predictions(index=seen.index, error=error, path=path, **columns)


def _spread(values: np.ndarray, rows: np.ndarray, n: int, is_label: bool) -> np.ndarray:
    """Values of some of n rows, with None or NaN for the others."""
    spread = np.full(n, None, dtype=object) if is_label else np.full(n, np.nan)
    spread[rows] = values
    return spread
