"""The tables of a run, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..persistence._file import write_bytes
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
    lines = [f"# {protocol.title}", "", *_facts(protocol, header, rows, command), ""]
    experiments = [e for e in protocol.experiments if any(r["experiment"] == e.name for r in rows)]
    for title in dict.fromkeys(e.table for e in experiments):
        part = [e for e in experiments if e.table == title]
        table = make_table(protocol, part, rows, footnotes)
        if table:
            lines += [*([f"## {title}", ""] if title else []), *table, ""]
    lines += [*(f"\\* {note}" for note in footnotes), *([""] if footnotes else [])]
    return "\n".join([*lines, *_not_run(rows), *(f"* {note}" for note in protocol.notes), ""])


def _facts(protocol: Protocol, header: Row, rows: Sequence[Row], command: str) -> list[str]:
    weights = {
        e.name: sorted({r["weights"][:16] for r in rows if r["experiment"] == e.name and "weights" in r})
        for e in protocol.experiments
    }
    model = header["model"] + (f", {header['pretrained']}" if header["pretrained"] else "")
    all_weights = sorted({w for found in weights.values() for w in found})
    if len(all_weights) > 1:
        said = "; ".join(f"{name} {', '.join(found)}" for name, found in weights.items() if found)
    else:
        said = f"{model} {' '.join(all_weights)}".strip()
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


def _not_run(rows: Sequence[Row]) -> list[str]:
    ran = {(r["experiment"], r["detector"]) for r in rows if "reason" not in r}
    why: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if "reason" in row and (row["experiment"], row["detector"]) not in ran:
            why.setdefault((row["detector"], row["reason"]), []).append(row["experiment"])
    if not why:
        return []
    body = [line_of([d, ", ".join(e), " ".join(r.split()).replace("|", "/")]) for (d, r), e in why.items()]
    return ["## Not run", "", "| detector | experiments | why |", "|---|---|---|", *body, ""]
