"""What `predict_stream` gives: the answers to some rows, as a table."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..inspection._tables import _SHOWN, _frame, _table


@dataclass(frozen=True, eq=False, repr=False)
class Predictions:
    """Answers to n rows of a stream; every attribute has one entry for each.

    A row that could not be read has an error, NaN as its numbers, and None as its labels: not the unknown
    label, since nothing is known of it. Only a table with such a row holds labels as objects.

    Attributes
    ----------
    index : ndarray of shape (n,), int
        Place of the row in the stream, from 0 on.
    label : ndarray of shape (n,)
        What `predict` answers.
    score, decision, p_value : ndarray of shape (n,), float64
        What `score_samples`, `decision_function` (the distance to the threshold) and `p_values` answer.
    nearest_class : ndarray of shape (n,)
        The most likely class, known or not.
    posterior : ndarray of shape (n,), float64
        Its closed-set posterior: the largest of `predict_proba`. Those of all classes, k numbers a row,
        would be most of a large result.
    error : ndarray of shape (n,), object
        Why a row could not be read; None where it could.
    path : ndarray of shape (n,), object, or None
        The file of each image; None where no image came as a path.
    """

    index: np.ndarray
    label: np.ndarray
    score: np.ndarray
    decision: np.ndarray
    p_value: np.ndarray
    nearest_class: np.ndarray
    posterior: np.ndarray
    error: np.ndarray
    path: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.index)

    @property
    def rejected(self) -> np.ndarray:
        """Which rows are answered with the unknown label, (n,) of bool; none without such a label."""
        return np.asarray(self.label != self.nearest_class, dtype=bool)

    def to_dict(self) -> dict[str, np.ndarray]:
        """Name and values of each column; ``pyarrow.table(table.to_dict())`` is one of Arrow."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: values for name, values in columns.items() if values is not None}

    def to_frame(self) -> Any:
        """The columns as a pandas DataFrame, one row for each row of the stream."""
        return _frame(self.to_dict())

    def __str__(self) -> str:
        shown = {name: [_text(value) for value in values[:_SHOWN]] for name, values in self.to_dict().items()}
        return _table(shown, len(self))

    __repr__ = __str__


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
