"""The tables of docs/study.md from the lines and scores of `every_detector.py`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _ranks import draw, ranks

from skneg.metrics import auroc_difference

DEFAULT, MARGIN = "NegPrompt, both", 0.5
FAR = ("far", "dtd")
ALL = "all"


def head(*cells: str) -> None:
    print()
    row(*cells)
    print("|---" * len(cells) + "|")


def row(*cells: str) -> None:
    print("| " + " | ".join(cells) + " |")


def shown(task: str) -> str:
    """The classes of a task; half of them are known."""
    return task.removesuffix(", half")


def tabulated(lines: list[dict[str, Any]], names: list[str], most: int) -> pd.DataFrame:
    """A row for each line of `names`, with AUROC and FPR95 near and far.

    Of a task, number of images and seed all detectors are taken or none. A task whose classes have `most`
    images counts for so many as well as for all.
    """
    rows = []
    for line in lines:
        if line["detector"] in names:
            figures, sides = line["figures"], {}
            for name in figures:
                if f"{name} FPR95" in figures:
                    side = "far" if name in FAR else "near"
                    sides |= {
                        side: figures[name],
                        f"{side} FPR95": figures[f"{name} FPR95"],
                        f"{side} set": name,
                    }
            kept = {key: line[key] for key in ("task", "seed", "detector", "seconds")}
            kept |= {"accuracy": figures["accuracy"], "rejected": figures["rejected"], **sides}
            shots = ALL if line["shots"] is None else line["shots"]
            rows.append({"shots": shots, **kept})
            if shots == ALL and line["most"] == most:
                rows.append({"shots": most, **kept})
    table = pd.DataFrame(rows)
    one = table.groupby(["task", "shots", "seed"])["detector"]
    return table[one.transform("nunique").eq(len(names))]


class Pairs:
    """The default's AUROC less another's: on each task, by the scores of the same images."""

    def __init__(self, table: pd.DataFrame, scores_file: Callable[[str, int, str], Path]) -> None:
        self.table = table[table["shots"].eq(ALL) & table["detector"].eq(DEFAULT)]

        @cache
        def scores(task: str, seed: int, detector: str) -> dict[str, np.ndarray]:
            with np.load(scores_file(task, seed, detector)) as arrays:
                return dict(arrays)

        self.scores = scores

    def on(self, task: str, side: str, other: str) -> tuple[float, float]:
        """Difference and standard error: means over seeds, which are not taken for new images."""
        found = []
        for seed, kind in self.table[self.table["task"].eq(task)][["seed", f"{side} set"]].to_numpy():
            ours, theirs = self.scores(task, seed, DEFAULT), self.scores(task, seed, other)
            difference = auroc_difference(ours["known"], ours[kind], theirs["known"], theirs[kind])
            found.append((100 * difference.difference, 100 * difference.standard_error))
        return tuple(np.mean(found, axis=0))

    def over(self, tasks: list[str], side: str, other: str) -> tuple[float, float]:
        differences, errors = np.transpose([self.on(task, side, other) for task in tasks])
        return float(np.mean(differences)), float(np.sqrt(np.sum(errors**2)) / len(tasks))


def interval(difference: float, error: float) -> str:
    return f"{difference:+.1f} ({difference - 1.96 * error:+.1f} to {difference + 1.96 * error:+.1f})"


def report(table: pd.DataFrame, scores_file: Callable[[str, int, str], Path], picture: Path | None) -> None:
    names = list(dict.fromkeys(table["detector"]))
    every = table[table["shots"].eq(ALL)]
    tasks = list(dict.fromkeys(every["task"]))
    print(
        "seeds:",
        ", ".join(f"{shown(task)} {every[every['task'].eq(task)]['seed'].nunique()}" for task in tasks),
    )
    means = every.groupby(["detector", "task"]).mean(numeric_only=True)
    sides = {side: means[side].unstack("detector")[names].loc[tasks].dropna() for side in ("near", "far")}
    found = {side: ranks(values) for side, values in sides.items()}
    for side, what in found.items():
        print(
            f"\n{side}: Friedman {what.statistic:.1f}, p = {what.pvalue:.2g}, {len(names)} detectors, "
            f"{what.n_tasks} tasks; critical difference {what.critical:.1f}"
        )
    if picture is not None:
        draw(found["near"], picture, DEFAULT)
    overall(means, found, names)
    pairs = Pairs(table, scores_file)
    head("detector", *(f"{side}: {what}" for side in sides for what in ("mean rank", "the default less it")))
    for name in found["near"].mean.index:
        cells = []
        for side, values in sides.items():
            cells.append(f"{found[side].mean[name]:.1f}")
            other = interval(*pairs.over(list(values.index), side, name))
            cells.append("" if name == DEFAULT else other)
        row(name, *cells)
    for side, values in sides.items():
        head(side, *map(shown, values.index))
        spread = every.groupby(["detector", "task"])[side].std(ddof=0)
        for name in names:
            cells = [(values.at[task, name], spread[name, task]) for task in values.index]
            row(name, *(f"{mean:.1f} ± {deviation:.1f}" for mean, deviation in cells))
    shortfalls(sides, pairs)
    wins(sides, names)
    few(table, names)


def overall(means: pd.DataFrame, found: dict[str, Any], names: list[str]) -> None:
    head(
        "detector", "near", "rank near", "far", "rank far", "lowest near",
        "accuracy", "known images rejected", "seconds",
    )  # fmt: skip
    for name in names:
        ours = means.loc[name]
        mean, low, high = ours.mean(), ours.min(), ours.max()
        cells = []
        for side in ("near", "far"):
            cells.append(f"{mean[side]:.1f} / {mean[f'{side} FPR95']:.0f}")
            cells.append(f"{found[side].mean[name]:.1f}")
        rejected = f"{mean['rejected']:.1f} ({low['rejected']:.1f} to {high['rejected']:.1f})"
        row(name, *cells, f"{low['near']:.1f}", f"{mean['accuracy']:.1f}", rejected, f"{mean['seconds']:.1f}")


def shortfalls(sides: dict[str, pd.DataFrame], pairs: Pairs) -> None:
    head("task", "unknown", "best other", "its AUROC", "the default's", "difference", f"below by > {MARGIN}")
    for side, values in sides.items():
        for task, cells in values.iterrows():
            best = cells.drop(DEFAULT).idxmax()
            short = "yes" if cells[best] - cells[DEFAULT] > MARGIN else ""
            difference = interval(*pairs.on(str(task), side, best))
            row(
                shown(str(task)), side, best, f"{cells[best]:.1f}", f"{cells[DEFAULT]:.1f}", difference, short
            )


def wins(sides: dict[str, pd.DataFrame], names: list[str]) -> None:
    head("detector", f"at most {MARGIN} below the best of all")
    for name in names:
        places = []
        for side, values in sides.items():
            close = values.index[values.max(axis=1) - values[name] <= MARGIN]
            places += [f"{side}: {', '.join(map(shown, close))}"] * bool(len(close))
        row(name, "; ".join(places) or "-")


def few(table: pd.DataFrame, names: list[str]) -> None:
    """By the number of images: means over the tasks that have them, and the default beside the best."""
    some = table[table["shots"].ne(ALL)]
    if not len(some):
        return
    shots = sorted(some["shots"].unique())
    near = some.groupby(["detector", "task", "shots"])["near"].mean().unstack("shots")
    near = near.dropna()
    tasks = list(dict.fromkeys(near.index.get_level_values("task")))
    seeds = some[some["task"].isin(tasks)].groupby(["task", "shots"])["seed"].nunique()
    print(f"\nfew images: {seeds.min()} to {seeds.max()} seeds")
    head(f"near, mean of {', '.join(map(shown, tasks))}", *map(str, shots))
    for name in names:
        if name in near.index:
            row(name, *(f"{value:.1f}" for value in near.loc[name].mean()))
    head("near: the default, best other", *map(str, shots))
    for task in tasks:
        cells = []
        for _, values in near.xs(task, level="task").items():
            best = values.drop(DEFAULT).idxmax()
            cells.append(f"{values[DEFAULT]:.1f}, {values[best]:.1f} {best.removesuffix('Detector')}")
        row(shown(task), *cells)


def slow_table(lines: list[dict[str, Any]], tasks: tuple[str, ...], names: list[str]) -> None:
    """Slow detectors, and others beside them, on a few tasks with all images and seed 0."""
    first = {
        (line["detector"], line["task"]): {**line["figures"], "seconds": line["seconds"]}
        for line in lines
        if line["shots"] is None and line["seed"] == 0 and line["task"] in tasks
    }
    sides = dict.fromkeys(
        (task, name.removesuffix(" FPR95"))
        for (_, task), figures in first.items()
        for name in figures
        if name.endswith(" FPR95")
    )

    def cell(name: str, task: str, what: str, digits: int = 1) -> str:
        return f"{first[name, task][what]:.{digits}f}" if (name, task) in first else "-"

    head(
        "seed 0",
        *(", ".join(dict.fromkeys(side)) for side in sides),
        *("accuracy", "known images rejected", "seconds"),
    )
    for name in names:
        cells = [
            f"{cell(name, task, unknown)} / {cell(name, task, f'{unknown} FPR95', 0)}"
            for task, unknown in sides
        ]
        for what in ("accuracy", "rejected", "seconds"):
            cells.append(", ".join(cell(name, task, what) for task in tasks))
        row(name, *(text.replace("- / -", "-") for text in cells))
