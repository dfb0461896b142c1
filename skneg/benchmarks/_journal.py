"""Results as JSON Lines that a run appends to, and a later one takes up again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..errors import InputError

Cell = tuple[str, str, str | None, int | None]


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Make the folder of a run's results and keep other runs out of it."""
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with suppress(NotImplementedError):  # a file system without locks
                stack.enter_context(FileLock(folder / ".lock", timeout=0))
        except Timeout as error:
            raise InputError(
                f"out={str(folder)!r} is being written by another run: wait for it, or give another out=."
            ) from error
        except OSError as error:
            raise InputError(f"out={str(folder)!r} is no folder that can be written: {error}") from error
        yield


class Journal:
    """A file of one header line and one line for each finished cell.

    A last line that was cut off while it was written is dropped. A file that another configuration has
    written is refused: its figures must not stand in one table with this run's.

    Parameters
    ----------
    file : Path
    header : dict
        What all cells share; must be what the file's header says, where there is one.
    """

    def __init__(self, file: Path, header: Mapping[str, Any]) -> None:
        self.file = file
        self.header = json.loads(json.dumps(header))
        self.rows: dict[Cell, dict[str, Any]] = {}
        lines = self._read()
        if not lines:
            self._append(self.header)
            return
        self._check_header(lines[0])
        for row in lines[1:]:
            self.rows[cell_of(row)] = row

    def find(self, cell: Cell, config: str) -> dict[str, Any] | None:
        """The figures of a cell, or None; refuses those that were made with another configuration."""
        row = self.rows.get(cell)
        if row is None or "reason" in row:
            return None
        if row["config"] != config:
            raise InputError(
                f"{str(self.file)!r} holds {' / '.join(str(part) for part in cell)}, made with other "
                "parameters, weights or images than this run's: give another out=."
            )
        return row

    def refused(self, cell: Cell, config: str) -> bool:
        """Whether a detector has refused this cell in this configuration."""
        row = self.rows.get(cell)
        return row is not None and "reason" in row and row["config"] == config

    def add(self, row: Mapping[str, Any]) -> None:
        """Write a finished cell, whole, before anything else is done."""
        held = json.loads(json.dumps(row))
        self.rows[cell_of(held)] = held
        self._append(held)

    def _read(self) -> list[dict[str, Any]]:
        if not self.file.is_file():
            return []
        content = self.file.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            with open(self.file, "rb+") as file:
                file.truncate(len(whole))
        rows = []
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                row = json.loads(line)
                if number > 1:
                    cell_of(row)
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"{str(self.file)!r}, line {number}, is no result of this benchmark: give another out=."
                ) from error
            rows.append(row)
        return rows

    def _check_header(self, found: Any) -> None:
        if not isinstance(found, dict):
            raise InputError(f"{str(self.file)!r} has no header of this benchmark: give another out=.")
        differs = sorted(k for k in {*found, *self.header} if found.get(k) != self.header.get(k))
        if differs:
            what = "; ".join(f"{k} was {found.get(k)!r}, is {self.header.get(k)!r}" for k in differs)
            raise InputError(
                f"{str(self.file)!r} was written with another configuration ({what}): give another out=."
            )

    def _append(self, row: Mapping[str, Any]) -> None:
        with open(self.file, "a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())


def cell_of(row: Mapping[str, Any]) -> Cell:
    """What a row is the result of: experiment, detector, data set, seed."""
    return row["experiment"], row["detector"], row["dataset"], row["seed"]
