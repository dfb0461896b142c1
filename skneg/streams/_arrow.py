"""Columns of Arrow, as Parquet files give them, to what detectors take."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InputError


def is_arrow(X: Any) -> bool:
    """Whether X is a column or a table of pyarrow, which is not imported for that."""
    return type(X).__module__.partition(".")[0] == "pyarrow" and hasattr(X, "slice")


def from_arrow(X: Any) -> np.ndarray | list[Any]:
    """A column, or a table of one column, as embeddings (n, d) or as a list of paths or bytes.

    A row without an embedding, or with one of another width than most, is one of NaN: which rows cannot be
    used is for who reads them.

    Raises
    ------
    InputError
        If a table has several columns.
    """
    import pyarrow as pa
    from pyarrow.compute import list_value_length

    if isinstance(X, pa.Table | pa.RecordBatch):
        if X.num_columns != 1:
            raise InputError(
                f"a table of Arrow has the columns {X.column_names[:10]}; pass the one with images or "
                "embeddings, as in file.iter_batches(columns=['embedding'])."
            )
        X = X.column(0)
    if isinstance(X, pa.ChunkedArray):
        X = X.combine_chunks()
    X = getattr(X, "storage", X)  # of a tensor column
    kinds = pa.types
    is_list = any(
        kind(X.type) for kind in (kinds.is_list, kinds.is_large_list, kinds.is_fixed_size_list)
    ) and kinds.is_floating(X.type.value_type)
    if not is_list:
        return X.to_pylist()
    lengths = list_value_length(X).fill_null(0).to_numpy(zero_copy_only=False)
    width = int(np.bincount(lengths[lengths > 0]).argmax()) if lengths.any() else 1
    given = lengths == width
    values = X.filter(pa.array(given)).flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    if given.all():
        return values
    rows = np.full((len(X), width), np.nan, dtype=values.dtype)
    rows[given] = values
    return rows
