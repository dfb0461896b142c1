"""Every detector of the registry on every task of `evidence.py`, by the number of images: docs/study.md.

    python benchmarks/every_detector.py --data ROOT --out every.jsonl [--textiles FOLDER] [--seeds 3]

All detectors that take embeddings and need nothing else, with their defaults, and `NegPromptDetector` by
text, by images and by both. `NegPromptDetector` with text runs with all images of a task, the others with 1,
2, 4, 8 and 16 of a class as well. Writes a line for each fit, goes on where it stopped, and prints the means
as Markdown: near and far unknown images as in `evidence.py`, where ``far`` and ``dtd`` are far.

Slow ones run on Split-3, half of the flowers and the photographs only (`SLOW`), with all images and seed 0:
CoOp, LSN and FA, which train prompts, and ODIN, which needs pixels, so photographs. They have a table of
their own.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from evidence import Case, halves, measure, photos, splits, textiles
from tqdm import tqdm

from skneg import NegPromptDetector
from skneg._registry import DETECTORS, detector_class
from skneg.benchmarks._protocols import find_protocol
from skneg.benchmarks._sources import photo_tasks
from skneg.prompts import CoOpRecipe

SHOTS = (1, 2, 4, 8, 16)
SLOW = ("Split-3", "oxford_flowers, half", "photos")
BESIDE_SLOW = ("MCMDetector", "NegPrompt, text", "NegPrompt, both")
# The published 16 context vectors fill the 16 tokens of the text tower; LSN's 50 epochs take too long.
SHORT: dict[str, Any] = {"n_ctx": None, "context_init": "a photo of a"}
RECIPES = {
    "CoOpDetector": CoOpRecipe(**SHORT),
    "LSNDetector": CoOpRecipe(n_epochs=4, **SHORT),
    "FADetector": CoOpRecipe(train_batch_size=160, **SHORT),
}
FAR = ("far", "dtd")
Make = Callable[[Case, int], Any]


def build(cls: Any, case: Case, seed: int, **parameters: Any) -> Any:
    if "random_state" in cls().get_params():
        parameters["random_state"] = seed
    return cls(model=case.model, class_names=case.names, **parameters)


def detectors() -> dict[str, Make]:
    """How each detector is made for a case and a seed."""
    made: dict[str, Make] = {}
    for name in DETECTORS:
        cls = detector_class(name)
        if not cls.needs and cls.training != "prompts":
            made[name] = partial(build, cls)
    for evidence in ("images", "text", "both"):
        made[f"NegPrompt, {evidence}"] = partial(build, NegPromptDetector, evidence=evidence)
    return made


def slow(case: Case, root: Path) -> Iterator[tuple[str, Make, Case]]:
    """The slow detectors of a case, with the case as they take it."""
    for name, recipe in RECIPES.items():
        yield name, partial(build, detector_class(name), recipe=recipe), case
    if case.name == "photos":
        task = photo_tasks(find_protocol("photos"), root / "photos")[0]
        parts = [(part.images(), part.labels) for part in task.draw(20, 0)]
        unknown = {name: images.images() for name, images in task.ood.items()}
        pixels = Case(case.name, case.model, case.names, *parts, unknown)
        yield "ODINDetector", partial(build, detector_class("ODINDetector")), pixels


def cases(options: argparse.Namespace, seed: int) -> Iterator[Case]:
    """The cases of `evidence.py`, each with all of its images."""
    for source in (splits, halves, photos):
        for case in source(options.data, seed):
            if not case.name.startswith("photos") or "20 a class" in case.name:
                yield case._replace(name=case.name.removesuffix(", 20 a class"))
    if options.textiles is not None:
        for case in textiles(options.textiles, options.data, seed):
            if len(case.names) > 1 and "50 a class" in case.name:
                yield case._replace(name="textiles")


def fits(case: Case, seed: int) -> Iterator[tuple[int | None, Case]]:
    """The case with all images (None), and with fewer of a class where there are enough of them."""
    yield None, case
    X, y = case.train
    most = np.bincount(y).max()
    for shots in SHOTS:
        if most >= SHOTS[-1] and shots < most:
            order = np.random.RandomState(seed).permutation(len(y))
            rows = np.concatenate([order[y[order] == c][:shots] for c in np.unique(y)])  # some have fewer
            yield shots, case._replace(train=(X[rows], y[rows]))


Job = tuple[int | None, int, str, Make, Case]


def jobs(options: argparse.Namespace) -> Iterator[Job]:
    """Number of images, seed, name, maker and case of each fit, the slow ones last."""
    for seed in range(options.seeds):
        for whole in cases(options, seed):
            for shots, case in fits(whole, seed):
                for name, make in detectors().items():
                    if shots is None or name != "NegPrompt, text":
                        yield shots, seed, name, make, case
    if options.slow:
        for case in cases(options, 0):
            if case.name in SLOW:
                for name, make, taken in slow(case, options.data):
                    yield None, 0, name, make, taken


def scores_file(out: Path, task: str, seed: int, detector: str) -> Path:
    return out.with_suffix(".scores") / f"{task}, {seed}, {detector}.npz"


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    lines = []
    if options.out.exists():
        lines = [json.loads(line) for line in options.out.read_text().splitlines()]
    done = {(line["task"], line["shots"], line["seed"], line["detector"]) for line in lines}
    options.out.with_suffix(".scores").mkdir(exist_ok=True)
    with options.out.open("a") as out:
        for shots, seed, name, make, case in tqdm(jobs(options)):
            key = case.name, shots, seed, name
            if key in done:
                continue
            start = time.perf_counter()
            keep = scores_file(options.out, case.name, seed, name) if shots is None else None
            figures = measure(make(case, seed), case, keep)
            line = dict(zip(("task", "shots", "seed", "detector"), key, strict=True))
            line |= {"most": int(np.bincount(case.train[1]).max()), "figures": figures}
            line["seconds"] = time.perf_counter() - start
            lines.append(line)
            out.write(json.dumps(line) + "\n")
            out.flush()
    return lines


def report(lines: list[dict[str, Any]]) -> None:
    """Means over tasks of means over seeds."""
    found: dict[tuple, list[float]] = defaultdict(list)
    for line in lines:
        for name, value in line["figures"].items():
            unknown = name.removesuffix(" FPR95")
            if f"{unknown} FPR95" in line["figures"]:
                name = name.replace(unknown, "far" if unknown in FAR else "near")
            found[line["detector"], line["shots"], name, line["task"]].append(value)
            if line["shots"] is None and line["most"] == SHOTS[-1]:
                found[line["detector"], SHOTS[-1], name, line["task"]].append(value)
    slow_ones = (*RECIPES, "ODINDetector")
    names = list(dict.fromkeys(line["detector"] for line in lines if line["detector"] not in slow_ones))
    tasks = list(dict.fromkeys(line["task"] for line in lines))

    def of(detector: str, shots: int | None, what: str, some: list[str]) -> list[float]:
        cells = (found[detector, shots, what, task] for task in some)
        return [float(np.mean(cell)) for cell in cells if cell]

    def row(*cells: str) -> None:
        print("| " + " | ".join(cells) + " |")

    def head(*cells: str) -> None:
        print()
        row(*cells)
        print("|---" * len(cells) + "|")

    head("detector", "near", "far", "lowest near", "accuracy", "known images rejected", "seconds")
    for name in names:
        near, far = (
            " / ".join(f"{np.mean(of(name, None, what, tasks)):.{digits}f}" for what, digits in pair)
            for pair in ((("near", 1), ("near FPR95", 0)), (("far", 1), ("far FPR95", 0)))
        )
        accuracy, rejected = (of(name, None, what, tasks) for what in ("accuracy", "rejected"))
        worst = min(of(name, None, "near", tasks))
        rejects = f"{np.mean(rejected):.1f} ({min(rejected):.1f} to {max(rejected):.1f})"
        seconds = np.mean(
            [line["seconds"] for line in lines if (line["detector"], line["shots"]) == (name, None)]
        )
        row(name, near, far, f"{worst:.1f}", f"{np.mean(accuracy):.1f}", rejects, f"{seconds:.1f}")
    head("near", *tasks)
    for name in names:
        cells = (found[name, None, "near", task] for task in tasks)
        row(name, *(f"{np.mean(cell):.1f} ± {np.std(cell):.1f}" if cell else "-" for cell in cells))
    many = [task for task in tasks if all((names[0], shots, "near", task) in found for shots in SHOTS)]
    head(f"near, mean of {', '.join(many)}", *map(str, SHOTS))
    for name in names:
        by_shots = [of(name, shots, "near", many) for shots in SHOTS]
        if all(by_shots):
            row(name, *(f"{np.mean(cell):.1f}" for cell in by_shots))
    first = {
        (line["detector"], line["task"]): {**line["figures"], "seconds": line["seconds"]}
        for line in lines
        if line["shots"] is None and line["seed"] == 0 and line["task"] in SLOW
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
    for name in (*slow_ones, *BESIDE_SLOW):
        cells = [
            f"{cell(name, task, unknown)} / {cell(name, task, f'{unknown} FPR95', 0)}"
            for task, unknown in sides
        ]
        for what in ("accuracy", "rejected", "seconds"):
            cells.append(", ".join(cell(name, task, what) for task in SLOW))
        row(name, *(text.replace("- / -", "-") for text in cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--textiles", type=Path, metavar="FOLDER", help="as in evidence.py")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--slow", action="store_true", help="also the slow detectors, at the end")
    warnings.simplefilter("ignore")  # one image a class: each threshold is a guess and says so
    report(run(parser.parse_args()))


if __name__ == "__main__":
    main()
