"""The tables of a run, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .._files import write_bytes
from ._experiments import Protocol
from ._figures import can_draw
from ._tables import Row, line_of, make_table

CONVENTION = (
    "AUROC / FPR95 in percent. FPR95: the share of OOD images accepted at the first threshold that accepts "
    "at least 95 % of the ID images (ID positive); tied scores count as in scikit-learn. "
    "`fpr95_ood_positive` in results.jsonl is OpenOOD's way round. Accuracy is closed-set, on ID test images."
)


def write_report(file: Path, protocol: Protocol, header: Row, rows: Sequence[Row], command: str) -> None:
    """Write the tables of all rows, in whole or not at all."""
    write_bytes(file, make_report(protocol, header, rows, command).encode())


def make_report(protocol: Protocol, header: Row, rows: Sequence[Row], command: str) -> str:
    """The Markdown of a run.

    Parameters
    ----------
    protocol : Protocol
    header : dict
        Of the journal.
    rows : sequence of dict
        Of the journal: figures, and reasons where there are none.
    command : str
        What made them.
    """
    footnotes: dict[str, None] = {}
    lines = [f"# {protocol.title}", "", *_facts(header, rows, command), ""]
    experiments = [e for e in protocol.experiments if any(r["experiment"] == e.name for r in rows)]
    for title in dict.fromkeys(e.table for e in experiments):
        part = [e for e in experiments if e.table == title]
        table = make_table(protocol, part, rows, footnotes)
        if table:
            lines += [*([f"## {title}", ""] if title else []), *table, ""]
    lines += [*(f"\\* {note}" for note in footnotes), *([""] if footnotes else [])]
    return "\n".join([*lines, *_not_run(rows), *(f"* {note}" for note in protocol.notes), ""])


def _facts(header: Row, rows: Sequence[Row], command: str) -> list[str]:
    measured = [r for r in rows if "weights" in r]
    models = dict.fromkeys(f"{_model(r, header)} {r['weights'][:16]}" for r in measured)
    said = "; ".join(models) or _model(header, header)
    seeds = sorted({r["seed"] for r in rows if r["seed"] is not None})
    versions = ", ".join(f"{name} {version}" for name, version in header["versions"].items())
    return [
        f"    {command}",
        "",
        f"* Weights (sha256): {said}; precision {header['precision']}.",
        f"* {header['shots']} training images a class; seeds {', '.join(map(str, seeds)) or '-'}. "
        "Mean ± standard deviation over the runs. One run where no seed changes a score, or where only one "
        "was made.",
        f"* {CONVENTION}",
        f"* {versions}.",
        *([] if can_draw() else ["* Figures are left out: matplotlib is not installed."]),
    ]


def _model(row: Row, header: Row) -> str:
    """Model and tag of a row; those of the header where it has none of its own."""
    held = row if "model" in row else header
    return ", ".join(part for part in (held["model"], held["pretrained"]) if part) or "-"


def _not_run(rows: Sequence[Row]) -> list[str]:
    configs: dict[tuple[str, str], set[tuple[Any, Any]]] = {}
    for row in rows:
        if "reason" not in row:
            configs.setdefault((row["experiment"], row["detector"]), set()).add((row["seed"], row["config"]))
    why: dict[tuple[str, str], dict[str, list[int]]] = {}
    for row in rows:
        if "reason" not in row or _is_outdated(row, configs.get((row["experiment"], row["detector"]), set())):
            continue
        seeds = why.setdefault((row["detector"], row["reason"]), {}).setdefault(row["experiment"], [])
        if (row["experiment"], row["detector"]) in configs and row["seed"] is not None:
            seeds.append(row["seed"])
    if not why:
        return []
    body = []
    for (detector, reason), found in why.items():
        where = (f"{e} (seed {', '.join(map(str, sorted(s)))})" if s else e for e, s in found.items())
        body.append(line_of([detector, ", ".join(where), " ".join(reason.split()).replace("|", "/")]))
    return ["## Not run", "", "| detector | experiments | why |", "|---|---|---|", *body, ""]


def _is_outdated(refusal: Row, measured: set[tuple[Any, Any]]) -> bool:
    """Whether what a detector refused has run since, in another configuration."""
    own = {config for seed, config in measured if refusal["seed"] in (None, seed)}
    return bool(own) and refusal["config"] not in own
