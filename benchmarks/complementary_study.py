"""Ways to train negatives on look-alike classes: the second table of docs/evidence.md about them.

    python benchmarks/complementary_study.py --data ROOT --out study.jsonl [--seeds 1] [--variants base]

The score is that of complementary.py; its recipe is changed here one thing at a time. Writes a line for each
training, goes on where it stopped, and prints what half a lead changes in AUROC, text / joint: means over the
seeds that were asked for. The last column is of training images alone: see `complementary.run`.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from complementary import STRUCK_OUT, WEIGHTS, run
from evidence import halves, photos, splits

from skneg import SknegWarning

OTHERS = {"nis_over": "negatives", "beta": 0.1, "gamma": 0.05, "outlier_weight": 1.0}  # the defaults
TENTH = "10 % of the classes"
# What differs from the recipe of complementary.py in each training.
VARIANTS: dict[str, dict[str, Any]] = {
    "base": {},
    "with NIS": {"nis_over": "negatives"},
    "with NPD": {"beta": 0.1},
    "with NND": {"gamma": 0.05},
    "with textual outliers": {"outlier_weight": 1.0},
    "with all four": OTHERS,
    "all four alone": {**OTHERS, "complementary_weight": 0.0},
    "m = 5": {"n_rivals": 5},
    "m = 50": {"n_rivals": 50},
    "p = 1": {"n_negative": 1},
    "p = 4": {"n_negative": 4},
    "25 steps": {"negative_steps": 25},
    "100 steps": {"negative_steps": 100},
    TENTH: {"trained": 0.1},
}
STUDIED = ("Split-2", "Split-3", "Split-4", "oxford_flowers, half", "photos, 20 a class")


def show(lines: list[dict[str, Any]]) -> None:
    """AUROC without negatives, and what half a lead changes: text / joint, means over the seeds."""
    table: dict[str, dict[tuple[str, str], list[Any]]] = defaultdict(lambda: defaultdict(list))
    seeds: dict[str, set[int]] = defaultdict(set)
    for line in lines:
        for name, figures in line["figures"].items():
            level, half = ([figures[f"{kind}, {w}"] for kind in ("text", "joint")] for w in WEIGHTS[:2])
            row = line["variant"]
            if row in ("base", TENTH):
                table[f"AUROC without them, {row}"][line["case"], name].append(level)
            table[row][line["case"], name].append(np.subtract(half, level))
            seeds[row].add(line["seed"])
    columns = list(dict.fromkeys(column for row in table.values() for column in row))
    ood = [column for column in columns if column[1] != STRUCK_OUT]
    shown = [(", ".join(dict.fromkeys(column)), [column]) for column in ood] + [
        ("mean", ood),
        (f"{STRUCK_OUT}, mean", [column for column in columns if column not in ood]),
    ]
    print(f"| negatives | seeds | {' | '.join(name for name, _ in shown)} |\n{'|---' * (2 + len(shown))}|")
    for label, row in table.items():
        form = "{:.1f} / {:.1f}" if label not in seeds else "{:+.1f} / {:+.1f}"
        means = [np.mean([np.mean(row[c], axis=0) for c in part if c in row], axis=0) for _, part in shown]
        n_seeds = len(seeds.get(label) or seeds[label.split("them, ")[1]])
        cells = " | ".join(form.format(*np.round(mean, 1) + 0.0) for mean in means)
        print(f"| {label} | {n_seeds} | {cells} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument(
        "--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS), metavar="NAME"
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore", SknegWarning)
    lines = []
    if options.out.exists():
        lines = [json.loads(line) for line in options.out.read_text().splitlines()]
    done = {(line["variant"], line["case"], line["seed"]) for line in lines}
    for seed in range(options.seeds):
        for cases in (photos, halves, splits):
            for case in cases(options.data, seed):
                todo = {
                    variant: VARIANTS[variant]
                    for variant in options.variants
                    if case.name in STUDIED and (variant, case.name, seed) not in done
                }
                for variant, figures in run(case, seed, todo) if todo else ():
                    lines.append({"variant": variant, "case": case.name, "seed": seed, "figures": figures})
                    with options.out.open("a") as file:
                        file.write(json.dumps(lines[-1]) + "\n")
    show([line for line in lines if line["variant"] in options.variants and line["seed"] < options.seeds])


if __name__ == "__main__":
    main()
