"""Averages of the paper's tables that are not those of their entries: the table of docs/benchmarks.md.

    python benchmarks/averages.py

Reads the figures as they are printed (skneg/benchmarks/paper.csv), and leaves out what rounding explains.
"""

from __future__ import annotations

from skneg.benchmarks._paper import TABLES


def main() -> None:
    print("| table | row | average of | printed | of its entries |\n|---|---|---|---|---|")
    for number, rows in TABLES.items():
        for method, row in rows.items():
            if not row.printed:
                continue
            for metric, printed, mean, wrong in zip(
                ("AUROC", "FPR95"), row.printed, row.entries, row.corrected, strict=True
            ):
                if wrong:
                    print(f"| {number} | {method} | {metric} | {printed:.2f} | {mean + 1e-9:.2f} |")
    far = TABLES["2"]
    ours = far["NegPrompt"].entries[1]
    print("\n| FPR95 of Table 2 less NegPrompt's, of the entries | |\n|---|---|")
    for method in ("CLIPN", "CoOp", "LoCoOp"):
        print(f"| {method} | {far[method].entries[1] - ours:.1f} points |")


if __name__ == "__main__":
    main()
