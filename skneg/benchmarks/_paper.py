"""The figures that Li et al. (CVPR 2024) print, to stand beside ours; errors of their averages corrected.

Their protocol and weights are their own, and rows they mark with a dagger are quoted from other papers with
other weights: the figures are here for scale.
"""

from __future__ import annotations

from dataclasses import dataclass

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

# Method, then AUROC and FPR95 of each column and of their average, as printed.
_TABLE_2 = """
MCM             86.11 57.77 94.61 30.91 89.77 44.69 92.57 34.59 90.76 42.74
CLIPN           90.93 40.83 95.27 23.94 92.28 33.45 93.92 26.17 93.10 31.10
MSP             74.84 73.66 77.74 74.57 72.18 79.12 73.97 76.95 74.98 76.22
MaxLogit        88.63 48.72 88.03 60.88 87.45 55.54 91.16 44.83 88.82 52.49
Energy          88.22 50.39 87.18 64.98 87.33 57.40 91.17 46.42 88.48 54.80
ReAct           88.13 49.88 86.87 65.57 87.42 56.85 91.04 46.17 88.37 54.62
ODIN            87.85 51.67 94.65 30.22 85.54 55.06 87.17 54.04 88.80 47.75
CoOp            89.47 45.00 93.77 29.81 90.58 40.11 93.29 40.83 91.78 51.68
LoCoOp          90.19 42.28 96.86 16.05 91.98 32.87 95.07 23.44 93.52 28.66
NegPrompt       91.60 35.21 98.73 6.32 93.34 27.60 95.55 22.89 94.81 23.01
CoOp(10%)       87.58 50.55 91.08 42.53 89.56 46.12 91.52 41.92 89.94 45.28
LoCoOp(10%)     88.21 47.32 94.47 34.90 91.64 39.85 92.54 26.30 90.15 37.09
NegPrompt(10%)  90.30 39.31 98.39 7.48 92.68 29.75 93.70 26.92 93.76 25.86
"""

_TABLE_3 = """
MCM             97.93 9.17 88.10 56.40 90.34 33.05 98.72 4.73 93.77 25.83
CLIPN           99.38 2.07 97.77 10.55 90.03 36.85 98.83 4.68 96.50 13.53
MSP             77.85 63.60 68.73 83.63 79.10 70.55 82.40 65.52 77.02 70.83
MaxLogit        99.87 0.49 98.06 8.69 90.96 34.34 99.35 2.66 97.06 11.55
Energy          99.88 0.46 98.18 8.40 90.65 35.02 99.36 2.83 97.02 11.68
ReAct           99.34 0.72 97.91 9.33 90.72 35.65 99.12 2.94 96.77 12.16
ODIN            98.78 1.12 98.23 8.18 89.92 37.20 98.76 13.20 96.42 14.92
CoOp            98.53 6.78 88.25 50.76 90.64 33.89 98.54 5.11 93.99 24.14
LoCoOp          98.64 6.29 84.63 61.09 91.30 27.79 98.83 41.44 93.35 34.15
NegPrompt       99.85 0.62 98.54 7.60 93.89 22.89 99.57 1.60 97.96 8.18
CoOp(10%)       97.97 12.217 80.11 74.62 87.92 46.00 96.59 16.60 90.65 37.36
LoCoOp(10%)     98.00 9.23 87.02 52.18 80.51 59.93 82.41 48.72 86.99 42.52
NegPrompt(10%)  99.66 1.36 96.30 19.89 91.75 26.92 98.14 5.24 96.46 13.36
"""

# The last column is the accuracy.
_TABLE_5 = """
RN50            79.44 72.73 90.97 44.10 84.35 61.37 88.04 50.55 85.70 57.19 68.2
RN101           82.97 70.83 93.96 31.3 86.41 51.66 88.81 47.61 88.04 50.35 70.3
ViT-B-32        90.43 38.79 97.40 12.64 92.83 32.79 92.82 26.03 93.37 27.56 72.6
1-negative      90.04 40.67 98.24 9.23 90.37 32.62 92.26 27.33 92.73 27.46 72.1
one-stage       80.25 72.87 77.02 95.74 82.53 95.94 81.13 95.72 80.23 90.07 62.8
reference       90.30 39.31 98.39 7.48 92.68 29.75 93.70 26.92 93.76 25.86 72.1
"""

# Top-1 accuracy on the ID test images.
TABLE_4 = {
    "CoOp": 72.1,
    "LoCoOp": 71.7,
    "CLIPN": 67.0,
    "MCM": 67.0,
    "NegPrompt(10%)": 71.9,
    "NegPrompt": 72.1,
}

# Printed averages may differ so much from those of the printed entries by rounding alone.
ROUNDING = 0.0125


@dataclass(frozen=True)
class PaperRow:
    """One method's printed figures.

    Attributes
    ----------
    figures : dict of str to (float, float)
        AUROC and FPR95 of each column, in percent.
    printed_average : (float, float)
        AUROC and FPR95 as the table prints them.
    accuracy : float or None
    """

    figures: dict[str, tuple[float, float]]
    printed_average: tuple[float, float]
    accuracy: float | None = None

    @property
    def entries_average(self) -> tuple[float, float]:
        """AUROC and FPR95 averaged over the printed columns."""
        auroc, fpr95 = (
            sum(column) / len(self.figures) for column in zip(*self.figures.values(), strict=True)
        )
        return auroc, fpr95

    @property
    def average(self) -> tuple[float, float]:
        """The printed average, or that of the entries where the two differ by more than rounding."""
        auroc, fpr95 = (
            mean if wrong else printed
            for mean, printed, wrong in zip(
                self.entries_average, self.printed_average, self.corrected, strict=True
            )
        )
        return auroc, fpr95

    @property
    def corrected(self) -> tuple[bool, bool]:
        """Whether the printed average of AUROC, and of FPR95, is not that of its entries."""
        auroc, fpr95 = (
            abs(mean - printed) > ROUNDING
            for mean, printed in zip(self.entries_average, self.printed_average, strict=True)
        )
        return auroc, fpr95


def _parse(block: str, columns: tuple[str, ...]) -> dict[str, PaperRow]:
    rows = {}
    for line in block.strip().splitlines():
        method, *cells = line.split()
        values = [float(cell) for cell in cells]
        pairs = list(zip(values[0:10:2], values[1:10:2], strict=True))
        accuracy = values[10] if len(values) > 10 else None
        rows[method] = PaperRow(dict(zip(columns, pairs[:-1], strict=True)), pairs[-1], accuracy)
    return rows


TABLE_2 = _parse(_TABLE_2, FAR)
TABLE_3 = _parse(_TABLE_3, HARD)
TABLE_5 = _parse(_TABLE_5, FAR)
