"""One table over several OOD sets, with confidence intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from .._utils import check_at_least, check_between, check_option, require
from ..errors import InputError, InputTypeError
from ._bootstrap import bootstrap
from ._ranking import aupr, auroc, check_scores, detection_error, fpr_at_tpr

if TYPE_CHECKING:
    import pandas as pd

# What compares ID with OOD scores and nothing else.
RANKING_METRICS: dict[str, Callable[..., float]] = {
    "auroc": auroc,
    "fpr95": fpr_at_tpr,
    "aupr_in": aupr,
    "aupr_out": partial(aupr, positive="ood"),
    "detection_error": detection_error,
}
MEAN = "mean"


@dataclass(frozen=True, eq=False)
class OODReport:
    """Metrics of several OOD sets and their mean; made by `ood_report`.

    ``print(report)`` shows the table.

    Attributes
    ----------
    sets : tuple of str
        Names of the rows: the OOD sets, and ``"mean"`` last.
    metrics : tuple of str
        Names of the columns.
    values : ndarray of shape (n_rows, n_metrics)
        The metrics; those of the mean row are unweighted means over the sets.
    low, high : ndarray of shape (n_rows, n_metrics), or None
        Ends of the confidence intervals; None where none were asked for.
    n_id : int
        Number of ID images.
    n_ood : tuple of int
        Number of OOD images of each row; all of them in the mean row.
    confidence : float
        The level of the intervals.
    """

    sets: tuple[str, ...]
    metrics: tuple[str, ...]
    values: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None
    n_id: int
    n_ood: tuple[int, ...]
    confidence: float

    def to_dict(self) -> dict[str, dict[str, float]]:
        """The table as plain numbers.

        Returns
        -------
        dict of str to dict of str to float
            For each row ``"n_ood"`` and each metric by its name, with its interval, if any, as
            ``"<metric>_low"`` and ``"<metric>_high"``.
        """
        table: dict[str, dict[str, float]] = {}
        for i, (name, n_ood) in enumerate(zip(self.sets, self.n_ood, strict=True)):
            table[name] = {"n_ood": n_ood}
            for j, metric in enumerate(self.metrics):
                table[name][metric] = float(self.values[i, j])
                if self.low is not None and self.high is not None:
                    table[name][f"{metric}_low"] = float(self.low[i, j])
                    table[name][f"{metric}_high"] = float(self.high[i, j])
        return table

    def to_frame(self) -> pd.DataFrame:
        """The table as a pandas DataFrame: a row for each set, columns as the keys of `to_dict`.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        MissingDependencyError
            If pandas is not installed.
        """
        pandas = require("pandas", "to_frame", "pip install pandas, or use to_dict().")
        return pandas.DataFrame.from_dict(self.to_dict(), orient="index")

    def to_text(self, digits: int = 3) -> str:
        """The table as text.

        Parameters
        ----------
        digits : int, default=3
            Digits after the point.

        Returns
        -------
        str
        """
        rows = [["", "n_ood", *self.metrics]]
        for i, (name, n_ood) in enumerate(zip(self.sets, self.n_ood, strict=True)):
            rows.append([name, str(n_ood), *(self._cell(i, j, digits) for j in range(len(self.metrics)))])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
            for row in rows
        ]
        footer = f"n_id = {self.n_id}"
        if self.low is not None:
            footer += f"; [{100 * self.confidence:g} % bootstrap intervals]"
        return "\n".join([lines[0], "", *lines[1:-1], "", lines[-1], "", footer])

    def _cell(self, i: int, j: int, digits: int) -> str:
        text = f"{self.values[i, j]:.{digits}f}"
        if self.low is None or self.high is None:
            return text
        return f"{text} [{self.low[i, j]:.{digits}f}, {self.high[i, j]:.{digits}f}]"

    def __str__(self) -> str:
        return self.to_text()


def ood_report(
    scores_id: ArrayLike,
    scores_ood: Mapping[str, ArrayLike],
    *,
    metrics: Sequence[str] = ("auroc", "fpr95", "aupr_in", "aupr_out"),
    n_draws: int = 1000,
    confidence: float = 0.95,
    random_state: Any = None,
) -> OODReport:
    """Metrics of one set of ID images against several sets of OOD images, with their mean.

    Parameters
    ----------
    scores_id : array-like of shape (n,)
        Scores of the ID images; larger = more in-distribution.
    scores_ood : mapping of str to array-like of shape (m,)
        Scores of each OOD set, by its name.
    metrics : sequence of {"auroc", "fpr95", "aupr_in", "aupr_out", "detection_error"}
        The columns: `auroc`, `fpr_at_tpr` at 0.95, `aupr` with either side positive, and
        `detection_error`.
    n_draws : int, default=1000
        Bootstrap draws for the intervals; 0 for none. A draw resamples the ID images and each OOD set,
        each with replacement to its own size; all sets of a draw share its ID images.
    confidence : float, default=0.95
        Level of the percentile intervals. They say how much the numbers depend on the choice of test
        images, not on the choice of training images or the seed.
    random_state : int, RandomState or None, default=None
        Decides the draws.

    Returns
    -------
    OODReport
        Printable; ``to_dict()`` and ``to_frame()`` give the numbers.

    Raises
    ------
    InputError, InputTypeError
        If a set is empty or holds NaN, or a parameter is not usable.

    References
    ----------
    .. [1] Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.

    Examples
    --------
    >>> from skneg.metrics import ood_report
    >>> known = [2.0, 3.0, 4.0, 5.0]
    >>> print(ood_report(known, {"textures": [1.0, 2.5], "noise": [0.0]}, n_draws=0))
              n_ood  auroc  fpr95  aupr_in  aupr_out
    <BLANKLINE>
    textures      2  0.875  0.500    0.950     0.833
    noise         1  1.000  0.000    1.000     1.000
    <BLANKLINE>
    mean          3  0.938  0.250    0.975     0.917
    <BLANKLINE>
    n_id = 4
    """
    check_at_least("n_draws", n_draws, 0, Integral)
    check_between("confidence", confidence, 0, 1)
    if isinstance(metrics, str) or not metrics:
        raise InputTypeError(f"metrics must be a sequence of {list(RANKING_METRICS)}, got {metrics!r}.")
    for metric in metrics:
        check_option("metrics", metric, list(RANKING_METRICS))
    if not isinstance(scores_ood, Mapping) or not scores_ood:
        raise InputTypeError(
            f"scores_ood must be a mapping of name to scores, got {type(scores_ood).__name__}"
            f"{' without any' if isinstance(scores_ood, Mapping) else ''}."
        )
    known = check_scores(scores_id, "scores_id")
    strange: dict[str, np.ndarray] = {}
    for name, scores in scores_ood.items():
        if str(name) == MEAN:
            raise InputError(f"scores_ood has a set called {MEAN!r}, which is the name of the last row.")
        if str(name) in strange:
            raise InputError(f"scores_ood has two sets with the name {str(name)!r}: rename one.")
        strange[str(name)] = check_scores(scores, f"scores_ood[{name!r}]")

    values = np.array(
        [[RANKING_METRICS[metric](known, scores) for metric in metrics] for scores in strange.values()]
    )
    low = high = None
    if n_draws:
        try:
            generator = check_random_state(random_state)
        except ValueError as error:
            raise InputError(f"random_state={random_state!r} cannot seed anything: {error}") from error
        draws = _with_mean(bootstrap(known, strange, metrics, n_draws, generator))
        low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    sizes = [len(scores) for scores in strange.values()]
    return OODReport(
        sets=(*strange, MEAN),
        metrics=tuple(metrics),
        values=_with_mean(values),
        low=low,
        high=high,
        n_id=len(known),
        n_ood=(*sizes, sum(sizes)),
        confidence=confidence,
    )


def _with_mean(values: np.ndarray) -> np.ndarray:
    """Values (..., n_sets, n_metrics) with the mean over the sets as a last row."""
    return np.concatenate([values, values.mean(axis=-2, keepdims=True)], axis=-2)
