"""``skneg predict`` and ``skneg explain``: images to rows, some at a time."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from .._files import as_path
from ..inspection._explain import explain_seen
from ..streams import predict_stream
from ..streams._seen import see
from ._fit import loaded
from ._images import expanded

# The columns of `skneg predict`, and where `Predictions` has them.
_ANSWERS = {
    "path": "path",
    "answer": "label",
    "decision": "decision",
    "p_value": "p_value",
    "nearest_class": "nearest_class",
    "nearest_posterior": "posterior",
}

Row = dict[str, Any]
Columns = Mapping[str, np.ndarray]


def predict(options: Any) -> None:
    """The answers alone."""
    tables = predict_stream(loaded(options), expanded(options.images), **_of_stream(options))
    with _written(options) as write:  # once there is something to take the place of an old file
        for table in tables:
            bad = {row: told for row, told in enumerate(table.error) if told is not None}
            _name_skipped(table.index, bad)
            kept = table.rejected if options.only_unknown else ~np.isnan(table.score)
            told = table.to_dict()
            write({name: told[column][kept] for name, column in _ANSWERS.items()})


def explain(options: Any) -> None:
    """All that `Explanations` has."""
    parts = see(loaded(options), expanded(options.images), **_of_stream(options), user="explain")
    with _written(options) as write:
        for seen in parts:
            _name_skipped(seen.index, seen.errors)
            if seen.Z is not None:
                why = explain_seen(seen.detector, seen.state, seen.Z, seen.images)
                told = (why[why.rejected] if options.only_unknown else why).to_dict()
                del told["image"]
                write({"path": told.pop("path"), **told})


def _of_stream(options: Any) -> dict[str, Any]:
    return {"chunk": options.batch_size, "on_error": options.on_error}


def _name_skipped(index: np.ndarray, errors: Mapping[int, str]) -> None:
    for row, told in errors.items():
        print(f"skneg: skipped: {told.replace('image', f'image {index[row]}', 1)}", file=sys.stderr)


@contextmanager
def _written(options: Any) -> Iterator[Callable[[Columns], None]]:
    """A function that writes rows to where the options say, at once: an end in between loses none."""
    target = options.json or options.csv
    # File names may be any bytes: in a table they stay these, in JSON they are escapes of it.
    errors = "backslashreplace" if options.json else "surrogateescape"
    file = sys.stdout
    if target is not None:
        file = open(as_path(target), "w", encoding="utf-8", errors=errors, newline="")  # noqa: SIM115
    elif isinstance(file, io.TextIOWrapper):
        file.reconfigure(errors=errors)
    table: csv.DictWriter | None = None

    def write(row: Row) -> None:
        nonlocal table
        if options.json:
            file.write(json.dumps(row, ensure_ascii=False, default=np.ndarray.item) + "\n")
        else:
            if table is None:
                table = csv.DictWriter(file, list(row), lineterminator="\n")
                table.writeheader()
            table.writerow(row)
        file.flush()

    def write_all(columns: Columns) -> None:
        for values in zip(*(column.tolist() for column in columns.values()), strict=True):
            write(dict(zip(columns, values, strict=True)))

    try:
        yield write_all
    finally:
        if target is not None:
            file.close()
