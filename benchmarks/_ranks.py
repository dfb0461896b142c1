"""Do detectors differ over several tasks? Mean ranks, Friedman's test, Nemenyi's critical difference.

After Demsar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 2006.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from PIL import Image
from scipy.stats import friedmanchisquare, studentized_range


class Ranks(NamedTuple):
    """Mean rank of each detector, best first; two that lie `critical` apart or more differ."""

    mean: pd.Series
    critical: float
    statistic: float
    pvalue: float
    n_tasks: int


def ranks(values: pd.DataFrame, level: float = 0.05) -> Ranks:
    """Ranks of detectors (columns) on tasks (rows), 1 for the largest value; ties share their mean rank."""
    n_tasks, n = values.shape
    test = friedmanchisquare(*values.to_numpy().T)
    quantile = studentized_range.ppf(1 - level, n, np.inf) / np.sqrt(2)
    critical = float(quantile * np.sqrt(n * (n + 1) / (6 * n_tasks)))
    mean = values.rank(axis=1, ascending=False).mean().sort_values(kind="stable")
    return Ranks(mean, critical, float(test.statistic), float(test.pvalue), n_tasks)


def draw(found: Ranks, out: Path, first: str) -> None:
    """A point for each mean rank, with half the critical difference each way; `first` in another colour."""
    figure, ax = plt.subplots(figsize=(6.4, 1.1 + 0.22 * len(found.mean)), layout="constrained")
    places = np.arange(len(found.mean))
    for place, (name, rank) in zip(places, found.mean.items(), strict=True):
        style = ("#D55E00", "D") if name == first else ("#0072B2", "o")
        ax.errorbar(rank, place, xerr=found.critical / 2, color=style[0], marker=style[1], markersize=5)
    end = found.mean[first] + found.critical / 2
    ax.axvline(end, color="#666666", linestyle=":", linewidth=1)
    ax.set_yticks(places, found.mean.index, fontsize="small")
    ax.invert_yaxis()
    ax.set_xlabel(f"mean rank over {found.n_tasks} tasks, with half the critical difference")
    figure.savefig(out, dpi=100)
    plt.close(figure)
    # 32 colours are enough, in a fraction of the bytes.
    Image.open(out).convert("RGB").quantize(32, dither=Image.Dither.NONE).save(out, optimize=True)
