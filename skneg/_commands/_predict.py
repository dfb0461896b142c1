"""``skneg predict`` and ``skneg explain``: images to rows, some at a time."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ._fit import loaded
from ._images import batches, expanded

_ANSWERS = ("answer", "decision", "p_value", "nearest_class", "nearest_posterior")

Row = dict[str, Any]


def predict(options: Any) -> None:
    """The answers alone."""
    _write_answers(options, _ANSWERS)


def explain(options: Any) -> None:
    """All that `Explanations` has."""
    _write_answers(options, None)


def _write_answers(options: Any, columns: tuple[str, ...] | None) -> None:
    detector = loaded(options)
    with _written(options) as write:
        for batch in batches(expanded(options.images), options.batch_size, options.on_error):
            why = detector.explain(batch)
            told = (why[why.rejected] if options.only_unknown else why).to_dict()
            del told["image"]
            names = ["path", *(columns or (name for name in told if name != "path"))]
            for values in zip(*(told[name].tolist() for name in names), strict=True):
                write(dict(zip(names, values, strict=True)))


@contextmanager
def _written(options: Any) -> Iterator[Callable[[Row], None]]:
    """A function that writes a row to where the options say, at once: an end in between loses none."""
    target = options.json or options.csv
    file = sys.stdout if target is None else open(target, "w", encoding="utf-8", newline="")  # noqa: SIM115
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

    try:
        yield write
    finally:
        if target is not None:
            file.close()
