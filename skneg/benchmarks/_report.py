"""The tables of a run, in Markdown: our figures and the paper's, column by column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .._registry import DETECTORS
from .._utils import require
from ._figures import can_draw
from ._paper import METHODS, TABLES, PaperRow
from ._protocols import Experiment, Protocol

CONVENTION = (
    "AUROC / FPR95 in percent. FPR95: the share of OOD images accepted at the first threshold that accepts "
    "at least 95 % of the ID images (ID positive); tied scores count as in scikit-learn. "
    "`fpr95_ood_positive` in results.jsonl is OpenOOD's way round. Accuracy is closed-set, on ID test images."
)
PAPER_WEIGHTS = (
    "The paper's figures are for scale: its protocol and weights are its own, and it quotes some rows from "
    "other papers with other weights."
)


def make_report(protocol: Protocol, rows: Sequence[Mapping[str, Any]], command: str) -> str:
    """The Markdown of a run.

    Parameters
    ----------
    protocol : Protocol
    rows : sequence of dict
        Figures, and reasons where there are none.
    command : str
        What made them.
    """
    pd = require("pandas", "skneg.benchmarks")
    measured = [row for row in rows if "reason" not in row]
    footnotes: dict[str, None] = {}
    lines = [f"# {protocol.title}", "", *_facts(measured, command), ""]
    experiments = {e.name: e for e in protocol.experiments}
    places, known = list(experiments), list(DETECTORS)
    ordered = sorted(
        measured,
        key=lambda r: (
            protocol.rows == "experiment" and places.index(r["experiment"]),
            known.index(r["detector"].partition(".")[0]),
            places.index(r["experiment"]),
        ),
    )
    for title in dict.fromkeys(e.table for e in protocol.experiments):
        part = [r for r in ordered if experiments[r["experiment"]].table == title]
        if part:
            lines += [f"## {title}", ""] if title else []
            lines += [*_table(protocol, experiments, pd.DataFrame(part), footnotes), ""]
    lines += [*(f"\\* {note}" for note in footnotes), *([""] if footnotes else [])]
    notes = [*protocol.notes, *([PAPER_WEIGHTS] if protocol.paper else [])]
    return "\n".join([*lines, *_not_run(rows), *(f"* {note}" for note in notes), ""])


def _facts(rows: Sequence[Mapping[str, Any]], command: str) -> list[str]:
    def said(text: Any) -> str:
        return "; ".join(dict.fromkeys(map(text, rows))) or "-"

    weights = said(lambda r: f"{', '.join(filter(None, (r['model'], r['pretrained'])))} {r['weights'][:16]}")
    return [
        f"    {command}",
        "",
        f"* Weights (sha256): {weights}; precision {said(lambda r: r['precision'])}.",
        f"* {said(lambda r: str(r['shots']))} training images a class; seeds "
        f"{', '.join(map(str, sorted({r['seed'] for r in rows}))) or '-'}. "
        "Mean ± standard deviation over the runs. One run where no seed changes a score, or where only one "
        "was made.",
        f"* {CONVENTION}",
        f"* {said(lambda r: ', '.join(f'{name} {held}' for name, held in r['versions'].items()))}.",
        *([] if can_draw() else ["* Figures are left out: matplotlib is not installed."]),
    ]


def _table(
    protocol: Protocol, experiments: Mapping[str, Experiment], frame: Any, footnotes: dict[str, None]
) -> list[str]:
    """The lines of a Markdown table; columns of the paper only where it has figures."""
    frame["row"] = frame["detector"]
    if protocol.rows == "experiment":
        recipes = frame["detector"].str.partition(".")[2]
        frame["row"] = frame["experiment"] + recipes.where(recipes == "", ", " + recipes)
    sets = [name for name in frame["dataset"].unique() if name is not None]
    table: list[list[tuple[str, str]]] = []
    for name, own in frame.groupby("row", sort=False):
        experiment = experiments[own["experiment"].iloc[0]]
        paper = _paper_row(protocol, experiment, own["detector"].iloc[0], sets)
        cells = [(protocol.rows, name), ("runs", str(own["seed"].nunique()))]
        for held in sets:
            cells += [(held, _ours(own, [held])), ("paper", _printed(paper, held))]
        if len(sets) > 1:
            whole = paper if paper and set(paper.auroc) == set(sets) else None
            cells += [("average", _ours(own, sets)), ("paper", _average(whole, name, footnotes))]
        fits = own.drop_duplicates(["experiment", "detector", "seed"])
        accuracy = _by_seed(fits, "accuracy", fits["experiment"].nunique())
        cells += [("accuracy", _spread(accuracy, 1)), ("paper", f"{(paper and paper.accuracy) or ''}")]
        cells += [("fit s", f"{fits['fit_s'].mean():.1f}")]
        table.append([*cells, ("s / 1,000", f"{fits['score_s_per_1000'].mean():.3f}")])
    columns = [c for c in zip(*table, strict=True) if c[0][0] != "paper" or any(text for _, text in c)]
    body = [_line(text for _, text in row) for row in zip(*columns, strict=True)]
    return [_line(column[0][0] for column in columns), "|" + "---|" * len(columns), *body]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _ours(own: Any, sets: Sequence[str]) -> str:
    """AUROC / FPR95, averaged over the sets within each seed, then over the seeds."""
    tested = own[own["dataset"].isin(sets)]
    both = (_spread(_by_seed(tested, m, len(sets)), d) for m, d in (("auroc", 2), ("fpr95", 1)))
    return " / ".join(both) if len(tested) else "-"


def _by_seed(frame: Any, figure: str, n: int) -> Any:
    """The mean of a figure in each seed that has all `n` of them."""
    seeds = frame.groupby("seed")[figure]
    return seeds.mean()[seeds.count() == n]


def _spread(values: Any, digits: int) -> str:
    if len(values) < 2:
        return "".join(f"{value:.{digits}f}" for value in values) or "-"
    return f"{values.mean():.{digits}f} ± {values.std():.{digits}f}"


def _paper_row(
    protocol: Protocol, experiment: Experiment, detector: str, sets: Sequence[str]
) -> PaperRow | None:
    """The printed row that stands beside ours; recipes of a detector have that of the detector."""
    method = METHODS.get(detector.partition(".")[0], "")
    name = experiment.paper_row or method + "(10%)" * experiment.open_vocabulary
    found = [TABLES[table][name] for table in protocol.paper if name in TABLES[table]]
    return next((row for row in found if not row.auroc or set(row.auroc) & set(sets)), None)


def _printed(row: PaperRow | None, held: str) -> str:
    if row is None or held not in row.auroc:
        return ""
    return f"{row.auroc[held]:.2f} / {row.fpr95[held]:.1f}"


def _average(row: PaperRow | None, name: str, footnotes: dict[str, None]) -> str:
    """The printed average, starred and corrected where it is not that of its entries."""
    if row is None:
        return ""
    shown = []
    for metric, mean, printed, wrong in zip(
        ("AUROC", "FPR95"), row.average, row.printed, row.corrected, strict=True
    ):
        shown.append(f"{mean:.2f}" + "\\*" * wrong)
        if wrong:
            footnotes[
                f"{name}, paper, {metric}: printed {printed:.2f}; its {len(row.auroc)} entries average "
                f"{mean:.2f}."
            ] = None
    return " / ".join(shown)


def _not_run(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which detector refused what, and why; with its seeds, where others ran."""
    ran = {(r["experiment"], r["detector"]) for r in rows if "reason" not in r}
    why: dict[tuple[str, str], dict[str, list[str]]] = {}
    for row in rows:
        if "reason" in row:
            seeds = why.setdefault((row["detector"], row["reason"]), {}).setdefault(row["experiment"], [])
            if (row["experiment"], row["detector"]) in ran:
                seeds.append(str(row["seed"]))
    body = []
    for (detector, reason), found in why.items():
        where = (f"{e} (seed {', '.join(seeds)})" if seeds else e for e, seeds in found.items())
        body.append(_line([detector, ", ".join(where), " ".join(reason.split()).replace("|", "/")]))
    head = ["## Not run", "", "| detector | experiments | why |", "|---|---|---|"]
    return [*head, *body, ""] if body else []
