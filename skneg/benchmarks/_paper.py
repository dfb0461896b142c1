"""The figures that Li et al. (CVPR 2024) print, to stand beside ours; errors of their averages corrected.

Their protocol and weights are their own, and rows they mark with a dagger are quoted from other papers with
other weights: the figures are here for scale. ``paper.csv`` has them as printed.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files

FAR = ("Textures", "iNaturalist", "Places", "SUN")
HARD = ("Split-1", "Split-2", "Split-3", "Split-4")

# The paper's name of a method, by the name of its detector here.
METHODS = {
    "MCMDetector": "MCM",
    "CLIPNDetector": "CLIPN",
    "MSPDetector": "MSP",
    "MaxLogitDetector": "MaxLogit",
    "EnergyDetector": "Energy",
    "ReActDetector": "ReAct",
    "ODINDetector": "ODIN",
    "CoOpDetector": "CoOp",
    "LoCoOpDetector": "LoCoOp",
    "NegPromptDetector": "NegPrompt",
}

# Printed averages may differ so much from those of the printed entries by rounding alone.
ROUNDING = 0.0125


@dataclass(frozen=True)
class PaperRow:
    """One method's printed figures.

    Attributes
    ----------
    auroc, fpr95 : dict of str to float
        By column, in percent; empty in a table of accuracies.
    printed : tuple of float
        The averages of AUROC and of FPR95, as the table prints them.
    accuracy : float or None
    """

    auroc: dict[str, float]
    fpr95: dict[str, float]
    printed: tuple[float, ...]
    accuracy: float | None

    @property
    def entries(self) -> tuple[float, ...]:
        """The averages of the printed columns."""
        return tuple(sum(column.values()) / len(column) for column in (self.auroc, self.fpr95))

    @property
    def corrected(self) -> tuple[bool, ...]:
        """Whether a printed average is not that of its entries."""
        pairs = zip(self.entries, self.printed, strict=True)
        return tuple(abs(mean - printed) > ROUNDING for mean, printed in pairs)

    @property
    def average(self) -> tuple[float, ...]:
        """The printed averages, or those of the entries where the two differ by more than rounding."""
        three = zip(self.entries, self.printed, self.corrected, strict=True)
        return tuple(mean if wrong else printed for mean, printed, wrong in three)


def _row(cells: list[str], columns: Iterable[str]) -> PaperRow:
    values = [float(cell) for cell in cells if cell]
    accuracy = float(cells[10]) if cells[10] else None
    if len(values) < 10:
        return PaperRow({}, {}, (), accuracy)
    auroc, fpr95 = (dict(zip(columns, values[i:8:2], strict=True)) for i in (0, 1))
    return PaperRow(auroc, fpr95, (values[8], values[9]), accuracy)


def _read() -> dict[str, dict[str, PaperRow]]:
    tables: dict[str, dict[str, PaperRow]] = {}
    with (files(__package__) / "paper.csv").open(encoding="utf-8") as file:
        for table, method, *cells in list(csv.reader(file))[1:]:
            tables.setdefault(table, {})[method] = _row(cells, HARD if table == "3" else FAR)
    return tables


# By the paper's number of the table.
TABLES = _read()
