"""Every detector of the registry on every task of `evidence.py`, by the number of images: docs/study.md.

    python benchmarks/every_detector.py --data ROOT --out every.jsonl [--textiles FOLDER] [--seeds 3]
        [--slow] [--picture docs/images/critical_difference.png]

All detectors that take embeddings and need nothing else, with their defaults, and `NegPromptDetector` by
images and by both, the default (docs/evidence.md has it by text). With all images of each task and, where
classes have 16 or more, with 1, 2, 4, 8 and 16 of a class. Writes a line for each fit to --out, and with all
images the scores to a folder beside it; goes on where it stopped (``--seeds 0`` fits nothing). Prints the
tables as Markdown: near and far unknown images as in `evidence.py`, where ``far`` and ``dtd`` are far.
Seconds are CPU time.

With --slow, the slow ones run at the end, on Split-3, half of the flowers and the photographs only (`SLOW`),
with all images and seed 0: CoOp, LSN and FA, which train prompts, and ODIN, which needs pixels, so
photographs. They have a table of their own.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _every_tables import report, slow_table, tabulated
from evidence import Case, halves, measure, photos, splits, textiles
from tqdm import tqdm

from skneg import NegPromptDetector
from skneg._registry import DETECTORS, detector_class
from skneg.benchmarks._protocols import find_protocol
from skneg.benchmarks._sources import photo_tasks
from skneg.prompts import CoOpRecipe

SHOTS = (1, 2, 4, 8, 16)
SLOW = ("Split-3", "oxford_flowers, half", "photos")
BESIDE_SLOW = ("MCMDetector", "NegPrompt, both")
# The published 16 context vectors fill the 16 tokens of the text tower; LSN's 50 epochs take too long.
SHORT: dict[str, Any] = {"n_ctx": None, "context_init": "a photo of a"}
RECIPES = {
    "CoOpDetector": CoOpRecipe(**SHORT),
    "LSNDetector": CoOpRecipe(n_epochs=4, **SHORT),
    "FADetector": CoOpRecipe(train_batch_size=160, **SHORT),
}
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
    for evidence in ("images", "both"):
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
    yield from splits(options.data, seed)
    yield from halves(options.data, seed)
    yield next(photos(options.data, seed))._replace(name="photos")  # the first has 20 of a class
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
            start = time.process_time()
            keep = scores_file(options.out, case.name, seed, name) if shots is None else None
            figures = measure(make(case, seed), case, keep)
            line = dict(zip(("task", "shots", "seed", "detector"), key, strict=True))
            line |= {"most": int(np.bincount(case.train[1]).max()), "figures": figures}
            line["seconds"] = time.process_time() - start
            lines.append(line)
            out.write(json.dumps(line) + "\n")
            out.flush()
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--textiles", type=Path, metavar="FOLDER", help="as in evidence.py")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--picture", type=Path, help="where to draw the mean ranks")
    parser.add_argument("--slow", action="store_true", help="also the slow detectors, at the end")
    warnings.simplefilter("ignore")  # one image a class: each threshold is a guess and says so
    options = parser.parse_args()
    lines = run(options)
    done = {line["detector"] for line in lines}
    table = tabulated(lines, [name for name in detectors() if name in done], SHOTS[-1])
    report(table, partial(scores_file, options.out), options.picture)
    if options.slow:
        slow_table(lines, SLOW, [*RECIPES, "ODINDetector", *BESIDE_SLOW])


if __name__ == "__main__":
    main()
