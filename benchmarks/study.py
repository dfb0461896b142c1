"""What NegPromptDetector's defaults were chosen by, and what the choices come to: docs/study.md.

    python benchmarks/study.py choose --data ROOT --out choose.jsonl    # training images alone
    python benchmarks/study.py report --data ROOT --out report.jsonl    # test images

`choose` never touches an OOD class or a test image: half of a split's known classes play unknown, one of
the four training images of each other class is held out. `report` fits on all known classes and scores the
test images. Both write a line for each fit, go on where they stopped, and print the means as Markdown.
ROOT is the folder of the `real-features` protocol (docs/benchmarks.md).
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from skneg import NegPromptDetector, SknegWarning, Words
from skneg.benchmarks._protocols import find_protocol
from skneg.benchmarks._sources import feature_model, feature_tasks
from skneg.metrics import auroc, fpr_at_tpr
from skneg.scores import energy, max_logit, mcm, negative_odds, negprompt

# What differs from the defaults in each fit.
FITS: dict[str, dict[str, Any]] = {
    "default": {},
    "positives: hand-written prompt kept": {"recipe__positive_steps": 0},
    "positives: not anchored": {"recipe__anchor_weight": 0.0},
    "positives: anchor weight 200": {"recipe__anchor_weight": 200.0},
    "NIS over all logits": {"recipe__nis_over": "all"},
    "negatives start at random": {"recipe__negative_init": "random"},
    'negatives start at "not a photo of a"': {"recipe__negative_init": "not a photo of a"},
    "p = 1": {"recipe__n_negative": 1},
    "p = 4": {"recipe__n_negative": 4},
    "p = 8": {"recipe__n_negative": 8},
    "beta 0": {"recipe__beta": 0.0},
    "beta 1": {"recipe__beta": 1.0},
    "gamma 0.5": {"recipe__gamma": 0.5},
    "no textual outliers": {"recipe__outlier_weight": 0.0},
    "no words": {"words": None},
    "training temperature 0.02": {"recipe__train_temperature": 0.02},
    "one stage": {"recipe__one_stage": True},
    "class-specific contexts": {"recipe__shared": False},
    "words: max_cosine 0.8": {"words": Words(max_cosine=0.8)},
    "words: max_cosine 0.95": {"words": Words(max_cosine=0.95)},
    "paper": {"recipe": "paper"},
    "released": {"recipe": "released"},
}
# Fits whose own score is eq. 3.
RECIPES = ("paper", "released")

Cosines = tuple[np.ndarray, np.ndarray, np.ndarray]
NONE = np.empty((1, 0))


def _own_class(cosines: Cosines) -> np.ndarray:
    positive, negative, words = cosines
    own = negative.reshape(len(negative), positive.shape[1], -1).max(axis=2)
    return (positive - 0.1 * own).max(axis=1) - energy(words)


# Scores of one fit: positives p, negatives n, words w.
SCORES: dict[str, Callable[[Cosines], np.ndarray]] = {
    "odds, negative weight 0.1 (default)": lambda c: negative_odds(*c, 0.01, 0.1),
    "odds, negative weight 0": lambda c: negative_odds(*c, 0.01, 0.0),
    "odds, negative weight 0.3": lambda c: negative_odds(*c, 0.01, 0.3),
    "odds, negative weight 1": lambda c: negative_odds(*c, 0.01, 1.0),
    "odds, temperature 0.0125": lambda c: negative_odds(*c, 0.0125, 0.1),
    "odds, temperature 0.02": lambda c: negative_odds(*c, 0.02, 0.1),
    "odds, mean negative, 0.5": lambda c: negative_odds(*c, 0.01, 0.0) - 0.5 * c[1].mean(axis=1),
    "odds, nearest negative, 0.1": lambda c: negative_odds(*c, 0.01, 0.0) - 0.1 * c[1].max(axis=1),
    "max cosine for energy, own class's negative, 0.1": _own_class,
    "max cosine for energy, words": lambda c: max_logit(c[0]) - energy(c[2]),
    "MCM at 1 less the words' energy": lambda c: mcm(c[0], 1.0) - energy(c[2]),
    "no words, energy - 0.5 negatives' energy": lambda c: energy(c[0]) - 0.5 * energy(c[1]),
    "no words, max cosine - 0.5 mean negative": lambda c: max_logit(c[0]) - 0.5 * c[1].mean(axis=1),
    "eq. 3 at 1": lambda c: negprompt(c[0], c[1], 1.0),
    "eq. 3 at 0.01": lambda c: negprompt(c[0], c[1], 0.01),
    "eq. 3 at 0.01, words among the negatives": lambda c: negprompt(
        c[0], np.concatenate([c[1], c[2]], axis=1), 0.01
    ),
}
ZERO_SHOT: dict[str, Callable[[Cosines], np.ndarray]] = {
    "zero-shot MCM": lambda c: mcm(c[0], 1.0),
    "zero-shot MaxLogit": lambda c: max_logit(c[0]),
    "zero-shot Energy": lambda c: energy(c[0]),
    "zero-shot, odds against words": lambda c: negative_odds(c[0], NONE, c[2]),
}


class Case:
    """Training images, known test images and unknown ones, of some classes."""

    def __init__(self, name: str, names: list[str], train: Any, known: Any, unknown: dict[str, Any]) -> None:
        self.name, self.names, self.train, self.known, self.unknown = name, names, train, known, unknown


def report_cases(root: Path, seed: int) -> Iterator[Case]:
    for task in feature_tasks(find_protocol("real-features"), root):
        if task.experiment.open_vocabulary or task.experiment.name == "1,000 ID":
            continue
        train, test = task.draw(4, seed)
        unknown = {name: images.embeddings for name, images in task.ood.items()}
        known = test.embeddings, test.labels
        yield Case(task.experiment.name, task.class_names, (train.embeddings, train.labels), known, unknown)


def choose_cases(root: Path, seed: int) -> Iterator[Case]:
    for task in feature_tasks(find_protocol("real-features"), root):
        if task.experiment.open_vocabulary or task.experiment.name == "1,000 ID":
            continue
        X, y = task.pool.embeddings, task.pool.labels
        rng = np.random.RandomState(seed)
        kept = np.sort(rng.permutation(len(task.class_names))[: len(task.class_names) // 2])
        known = np.flatnonzero(np.isin(y, kept))
        order = known[rng.permutation(len(known))]
        held_out = order[np.unique(y[order], return_index=True)[1]]
        rest = np.setdiff1d(known, held_out)
        yield Case(task.experiment.name, [task.class_names[i] for i in kept],
                   (X[rest], np.searchsorted(kept, y[rest])),
                   (X[held_out], np.searchsorted(kept, y[held_out])),
                   {"classes left out": X[~np.isin(y, kept)]})  # fmt: skip


def cosines(detector: NegPromptDetector, Z: np.ndarray) -> Cosines:
    bank = detector.text_bank_
    return Z @ bank.positive.T, Z @ bank.negative.T, Z @ bank.common.T


def measure(score: Callable[[Cosines], np.ndarray], known: Cosines, unknown: Cosines) -> list[float]:
    sides = score(known), score(unknown)
    return [100 * auroc(*sides), 100 * fpr_at_tpr(*sides)]


def run(case: Case, fit: str, seed: int, model: str) -> dict[str, Any]:
    """Figures of one fit: by score and set of unknown images, and the accuracy."""
    changes = dict(FITS[fit])
    recipe = changes.pop("recipe", None)
    make = getattr(NegPromptDetector, recipe) if recipe else NegPromptDetector
    detector = make(
        model=model,
        evidence="text",
        calibration="train",
        random_state=seed,
        class_names=case.names,
        **changes,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SknegWarning)
        detector.fit(*case.train)
    known = cosines(detector, case.known[0])
    line = {"accuracy": 100 * float(np.mean(known[0].argmax(axis=1) == case.known[1])), "scores": {}}
    if recipe:
        chosen = {"eq. 3 at 1": SCORES["eq. 3 at 1"]}
    elif fit == "default":
        chosen = dict(SCORES)
    else:
        chosen = {"own": lambda c: negative_odds(*c, 0.01, 0.1)}
    for name, images in case.unknown.items():
        unknown = cosines(detector, images)
        for label, score in chosen.items():
            line["scores"].setdefault(label, {})[name] = measure(score, known, unknown)
    if fit == "positives: hand-written prompt kept":
        for name, images in case.unknown.items():
            for label, score in ZERO_SHOT.items():
                line["scores"].setdefault(label, {})[name] = measure(score, known, cosines(detector, images))
    return line


def label_of(fit: str, score: str) -> str:
    if score in ZERO_SHOT:
        return score
    if fit == "default":
        return score if score != next(iter(SCORES)) else "default"
    return fit


def show(lines: list[dict[str, Any]]) -> None:
    """The means over the seeds as a Markdown table."""
    table: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    seeds: dict[str, set[int]] = defaultdict(set)
    for line in lines:
        for score, sets in line["scores"].items():
            label = label_of(line["fit"], score)
            seeds[label].add(line["seed"])
            for name, figures in sets.items():
                column = line["case"] if name in (line["case"], "classes left out") else name
                table[label][column].append(figures)
            table[label][f"accuracy {line['case']}"].append(line["accuracy"])
    columns = ["Split-1", "Split-2", "Split-3", "Split-4"]
    extra = sorted({c for row in table.values() for c in row if c not in columns and "accuracy" not in c})
    print("| | seeds | " + " | ".join([*columns, "mean of splits", *extra, "accuracy, mean"]) + " |")
    print("|---" * (len(columns) + len(extra) + 4) + "|")
    for label, row in table.items():
        if not all(column in row for column in columns):
            continue
        means = [np.mean(row[column], axis=0) for column in columns]
        cells = [f"{a:.2f} / {f:.1f}" for a, f in means] + [f"{np.mean([a for a, _ in means]):.2f}"]
        cells += ["{:.2f} / {:.1f}".format(*np.mean(row[c], axis=0)) if c in row else "" for c in extra]
        accuracy = np.mean([np.mean(row[f"accuracy {column}"]) for column in columns])
        print(f"| {label} | {len(seeds[label])} | " + " | ".join([*cells, f"{accuracy:.1f}"]) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("mode", choices=("choose", "report"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--fits", nargs="+", default=list(FITS), choices=list(FITS), metavar="FIT")
    options = parser.parse_args()
    lines = []
    if options.out.exists():
        lines = [json.loads(line) for line in options.out.read_text().splitlines()]
    done = {(line["fit"], line["case"], line["seed"]) for line in lines}
    cases = choose_cases if options.mode == "choose" else report_cases
    todo = [(fit, seed) for fit in options.fits for seed in range(options.seeds)]
    for fit, seed in tqdm(todo, unit="fit"):
        for case in cases(options.data, seed):
            if (fit, case.name, seed) in done:
                continue
            line = {"fit": fit, "case": case.name, "seed": seed}
            line |= run(case, fit, seed, feature_model(options.data))
            lines.append(line)
            with options.out.open("a") as file:
                file.write(json.dumps(line) + "\n")
    show(lines)


if __name__ == "__main__":
    main()
