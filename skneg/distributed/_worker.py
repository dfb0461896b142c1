"""What one worker does: it holds a detector, and turns rows of a block into rows of answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..streams import Predictions, predict_stream

# What a row of answers has beside its key.
COLUMNS = ("label", "score", "decision", "p_value", "nearest_class", "posterior", "error")


class Worker:
    """An actor of Ray Data; the first image loads the model, once for this process.

    Parameters
    ----------
    detector : fitted detector, Pipeline or search
    column, key : str
        The columns of images or embeddings, and of what names a row.
    on_gpu : bool
        Whether a GPU is set aside for it.
    """

    def __init__(self, detector: Any, column: str, key: str, on_gpu: bool) -> None:
        if not on_gpu and getattr(detector, "device", None) == "auto":
            detector.set_params(device="cpu")  # a GPU that it sees may be another worker's
        self.detector, self.column, self.key = detector, column, key

    def __call__(self, block: Any) -> Iterator[Any]:
        """From a table of Arrow to tables of answers, one for each 1,024 rows."""
        for table in predict_stream(self.detector, block.column(self.column), on_error="skip"):
            keys = block.column(self.key).slice(int(table.index[0]), len(table))
            yield _as_arrow(table, self.key, keys, self.detector)


def _as_arrow(table: Predictions, key: str, keys: Any, detector: Any) -> Any:
    import pyarrow as pa

    columns = table.to_dict()
    # The types of labels and errors, also where a table has none: all files must have the same.
    types = dict.fromkeys(("label", "nearest_class"), pa.array(detector.classes_[:1]).type)
    types["error"] = pa.string()
    arrays = {name: pa.array(columns[name].tolist(), type=types.get(name)) for name in COLUMNS}
    # NaN is a number; a row that could not be read has none.
    arrays |= {
        name: pa.array(columns[name], from_pandas=True)
        for name in ("score", "decision", "p_value", "posterior")
    }
    return pa.table({key: keys, **arrays})
