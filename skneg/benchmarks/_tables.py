"""One table of a run: our figures and the paper's, column by column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from .._registry import DETECTORS
from ._experiments import Experiment, Protocol
from ._paper import METHODS, PaperRow

Row = Mapping[str, Any]
# A heading, and what stands below it in the row of a name and its results.
Column = tuple[str, Callable[[str, Sequence[Row]], str]]


def make_table(
    protocol: Protocol, experiments: Sequence[Experiment], rows: Sequence[Row], footnotes: dict[str, None]
) -> list[str]:
    """The lines of a Markdown table; none where nothing has run.

    Parameters
    ----------
    protocol : Protocol
    experiments : sequence of Experiment
        Those whose results stand in this table.
    rows : sequence of dict
        Of the journal.
    footnotes : dict of str to None
        What the table must say below; added to.
    """
    place = {e.name: i for i, e in enumerate(experiments)}
    found = [r for r in rows if r["experiment"] in place and "reason" not in r]
    if not found:
        return []
    known = list(DETECTORS)
    found.sort(key=lambda r: (known.index(r["detector"].partition(".")[0]), place[r["experiment"]]))
    if protocol.rows == "experiment":
        found.sort(key=lambda r: place[r["experiment"]])
    groups: dict[str, list[Row]] = {}
    for row in found:
        groups.setdefault(_label(protocol, row), []).append(row)
    columns = _columns(protocol, {e.name: e for e in experiments}, groups, footnotes)
    lines = [line_of(title for title, _ in columns), "|" + "---|" * len(columns)]
    return lines + [line_of(show(name, own) for _, show in columns) for name, own in groups.items()]


def line_of(cells: Iterable[str]) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def _label(protocol: Protocol, row: Row) -> str:
    if protocol.rows == "detector":
        return row["detector"]
    recipe = row["detector"].partition(".")[2]
    return f"{row['experiment']}, {recipe}" if recipe else row["experiment"]


def _columns(
    protocol: Protocol,
    experiments: Mapping[str, Experiment],
    groups: Mapping[str, Sequence[Row]],
    footnotes: dict[str, None],
) -> list[Column]:
    sets = list(dict.fromkeys(r["dataset"] for own in groups.values() for r in own))
    sets = [name for name in sets if name is not None]
    papers = {name: _paper_row(protocol, experiments, own, sets) for name, own in groups.items()}
    printed = [row for row in papers.values() if row is not None]
    accuracies = {
        name: _paper_accuracy(protocol, experiments, own, papers[name]) for name, own in groups.items()
    }
    columns: list[Column] = [
        (protocol.rows, lambda name, own: name),
        ("runs", lambda name, own: str(len({r["seed"] for r in own}))),
    ]
    for held in sets:
        columns.append((held, partial(_ours, sets=[held])))
        if any(held in row.figures for row in printed):
            columns.append(("paper", partial(_printed, papers=papers, held=held)))
    if len(sets) > 1:
        columns.append(("average", partial(_ours, sets=sets)))
        if printed and all(set(row.figures) == set(sets) for row in printed):
            columns.append(("paper", lambda name, own: _printed_average(papers[name], name, footnotes)))
    columns.append(("accuracy", lambda name, own: _accuracy(own)))
    if any(accuracies.values()):
        columns.append(("paper", lambda name, own: f"{accuracies[name] or ''}"))
    columns.append(("fit s", lambda name, own: f"{_mean_of_fits(own, 'fit_s'):.1f}"))
    columns.append(("s / 1,000", lambda name, own: f"{_mean_of_fits(own, 'score_s_per_1000'):.3f}"))
    return columns


def _ours(name: str, rows: Sequence[Row], *, sets: Sequence[str]) -> str:
    """AUROC / FPR95, averaged over the sets within each seed, then over the seeds."""
    both = [_by_seed([r for r in rows if r["dataset"] in sets], m, len(sets)) for m in ("auroc", "fpr95")]
    return f"{_spread(both[0], 2)} / {_spread(both[1], 1)}" if both[0] else "-"


def _accuracy(rows: Sequence[Row]) -> str:
    """Averaged over the experiments of the table within each seed, then over the seeds."""
    fits = _fits(rows)
    return _spread(_by_seed(fits, "accuracy", len({r["experiment"] for r in fits})), 1)


def _by_seed(rows: Sequence[Row], figure: str, n: int) -> list[float]:
    """The mean of a figure in each seed that has all `n` of them."""
    values: dict[int, list[float]] = {}
    for row in rows:
        values.setdefault(row["seed"], []).append(row[figure])
    return [float(np.mean(own)) for own in values.values() if len(own) == n]


def _fits(rows: Sequence[Row]) -> list[Row]:
    """One row for each fit, whatever it was tested on."""
    return list({(r["experiment"], r["detector"], r["seed"]): r for r in rows}.values())


def _mean_of_fits(rows: Sequence[Row], figure: str) -> float:
    return float(np.mean([r[figure] for r in _fits(rows)]))


def _spread(values: Sequence[float], digits: int) -> str:
    if not values:
        return "-"
    mean = f"{np.mean(values):.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {np.std(values, ddof=1):.{digits}f}"


def _paper_row(
    protocol: Protocol, experiments: Mapping[str, Experiment], rows: Sequence[Row], sets: Iterable[str]
) -> PaperRow | None:
    """The printed row that stands beside ours; recipes of a detector have that of the detector."""
    experiment = experiments[rows[0]["experiment"]]
    name = experiment.paper_row or _method(experiment, rows[0]["detector"])
    found = (table[name] for table in protocol.paper if name in table)
    return next((row for row in found if set(row.figures) & set(sets)), None)


def _paper_accuracy(
    protocol: Protocol, experiments: Mapping[str, Experiment], rows: Sequence[Row], row: PaperRow | None
) -> float | None:
    if protocol.paper_accuracy:
        return protocol.paper_accuracy.get(_method(experiments[rows[0]["experiment"]], rows[0]["detector"]))
    return None if row is None else row.accuracy


def _method(experiment: Experiment, detector: str) -> str:
    method = METHODS.get(detector.partition(".")[0], "")
    return f"{method}(10%)" if experiment.open_vocabulary and method else method


def _printed(name: str, rows: Sequence[Row], *, papers: Mapping[str, PaperRow | None], held: str) -> str:
    row = papers[name]
    if row is None or held not in row.figures:
        return ""
    auroc, fpr95 = row.figures[held]
    return f"{auroc:.2f} / {fpr95:.1f}"


def _printed_average(row: PaperRow | None, name: str, footnotes: dict[str, None]) -> str:
    """The printed average, starred and corrected where it is not that of its entries."""
    if row is None:
        return ""
    shown = []
    for metric, mean, printed, wrong in zip(
        ("AUROC", "FPR95"), row.average, row.printed_average, row.corrected, strict=True
    ):
        shown.append(f"{mean:.2f}" + "\\*" * wrong)
        if wrong:
            footnotes[
                f"{name}, paper, {metric}: printed {printed:.2f}; its {len(row.figures)} entries average "
                f"{mean:.2f}."
            ] = None
    return " / ".join(shown)
