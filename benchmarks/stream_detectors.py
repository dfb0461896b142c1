"""Detectors that adapt to a stream, beside static ones: the tables of docs/stream-detectors.md.

    python benchmarks/stream_detectors.py --data ROOT [--orders 3] [--tasks photos halves splits]
        [--adaptations nearest tanl ...]
    python benchmarks/stream_detectors.py --data ROOT --choose

ROOT is the folder of the `real-features` protocol (docs/benchmarks.md). Half of the known test images of each
task and half of each set of unknown ones make streams; the other halves say what the state is worth that a
stream has left. Each image is scored once, when it comes. Prints Markdown: AUROC / FPR95 of the scores of
each kind of stream, and the share of new known images that is rejected after it; means over orders and tasks.

`--choose` is what the defaults of `NearestUnknown` were chosen by: training images alone. Half of the classes
of each task play unknown; up to eight images of each other class train the detector, the rest are known.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from evidence import Case, halves, of_training_images, photos, splits

from skneg import InterNegDetector, NegPromptDetector, SknegWarning, StreamDetector, WordsDetector
from skneg.adaptation import NearestUnknown
from skneg.metrics import auroc, fpr_at_tpr

Rows = np.ndarray
_LONGEST = 1000  # images of a stream
# The text-based adaptations as published, on words; ours on the default as well.
STATIC = {
    "NegPromptDetector": NegPromptDetector,
    "WordsDetector": WordsDetector,
    "InterNegDetector": InterNegDetector,
}
_SLOW = ("1:1", "1:9", "9:1", "known only", "unknown only")  # kinds that those on words are run on, once
ADAPTED = [
    ("NegPromptDetector", "nearest", 4),
    ("WordsDetector", "nearest", 4),
    ("WordsDetector", "tanl", 64),
    ("WordsDetector", "adaneg", 64),
    ("WordsDetector", "clipscope", 64),
    ("InterNegDetector", "tins", 64),
]


def mixed(a: int, b: int) -> Callable[..., list[tuple[str, int]]]:
    """Of each a + b images in random order, a known ones."""

    def order(known: int, sources: dict[str, int], rng: np.random.RandomState) -> list[tuple[str, int]]:
        strange = [(name, i) for name, n in sources.items() for i in range(n)]
        unit = min(known // a, len(strange) // b, _LONGEST // (a + b))
        chosen = [strange[i] for i in rng.permutation(len(strange))[: unit * b]]
        chosen += [("known", int(i)) for i in rng.permutation(known)[: unit * a]]
        return [chosen[i] for i in rng.permutation(len(chosen))]

    return order


def by_source(known: int, sources: dict[str, int], rng: np.random.RandomState) -> list[tuple[str, int]]:
    """Half of the images known throughout, the unknown ones of one source after those of another."""
    plain = mixed(1, 1)(known, sources, rng)
    strange = iter(sorted((item for item in plain if item[0] != "known"), key=lambda item: item[0]))
    return [item if item[0] == "known" else next(strange) for item in plain]


def bursts(known: int, sources: dict[str, int], rng: np.random.RandomState) -> list[tuple[str, int]]:
    """25 known images, 25 of one unknown source, and so on."""
    plain = by_source(known, sources, rng)
    sides = [[item for item in plain if (item[0] == "known") == side] for side in (True, False)]
    parts = [side[i : i + 25] for i in range(0, len(sides[0]), 25) for side in sides]
    return [item for part in parts for item in part]


def known_only(known: int, sources: dict[str, int], rng: np.random.RandomState) -> list[tuple[str, int]]:
    return [("known", int(i)) for i in rng.permutation(known)[:_LONGEST]]


def unknown_only(known: int, sources: dict[str, int], rng: np.random.RandomState) -> list[tuple[str, int]]:
    strange = [(name, i) for name, n in sources.items() for i in range(n)]
    return [strange[i] for i in rng.permutation(len(strange))[:_LONGEST]]


def one_image(known: int, sources: dict[str, int], rng: np.random.RandomState) -> list[tuple[str, int]]:
    """The same 20 unknown images again and again."""
    strange = unknown_only(known, sources, rng)[:20]
    return [strange[i] for i in rng.randint(len(strange), size=500)]


KINDS: dict[str, Callable[..., list[tuple[str, int]]]] = {
    "1:1": mixed(1, 1),
    "1:9": mixed(1, 9),
    "9:1": mixed(9, 1),
    "by source": by_source,
    "bursts": bursts,
    "known only": known_only,
    "unknown only": unknown_only,
    "20 images": one_image,
}


def cases(root: Path, tasks: list[str]) -> Iterator[Case]:
    if "photos" in tasks:
        yield from (c for c in photos(root, 0) if c.name in ("photos, 20 a class", "photos, 5 a class"))
    if "halves" in tasks:
        yield from halves(root, 0)
    if "splits" in tasks:
        yield from splits(root, 0)


CHOICES = [(w, q, n) for w in (0.5, 1.0, 2.0) for q in (0.5, 0.65, 0.8) for n in (4, 16)]


def choose(root: Path, tasks: list[str], n_orders: int) -> None:
    found: dict[str, list[Any]] = defaultdict(list)
    for case in map(of_training_images, cases(root, tasks)):
        detector = fitted(case, "NegPromptDetector")
        for number in range(n_orders):
            for kind in ("1:1", "1:9", "9:1"):
                rng = np.random.RandomState(number)
                items = KINDS[kind](len(case.test[0]), {"left out": len(case.unknown["left out"])}, rng)
                if not items:
                    continue
                sides = {"known": case.test[0], **case.unknown}
                Z = np.stack([sides[name][i] for name, i in items])
                is_known = np.array([name == "known" for name, _ in items])
                static = detector.score_samples(Z)
                found["static"].append(figures(static[is_known], static[~is_known]))
                for weight, share, every in CHOICES:
                    stream = StreamDetector(
                        detector, NearestUnknown(weight=weight, share=share), move_every=every
                    )
                    scores = stream.partial_score(Z)
                    label = f"weight={weight}, share={share}, move_every={every}:"
                    found[label].append(figures(scores[is_known], scores[~is_known]))
    for label, values in found.items():
        sys.stdout.write("{} {:.2f} / {:.2f}\n".format(label, *np.mean(values, axis=0)))


def fitted(case: Case, name: str) -> Any:
    seed = {} if name == "WordsDetector" else {"random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SknegWarning)
        return STATIC[name](model=case.model, class_names=case.names, **seed).fit(*case.train)


def figures(known: Rows, unknown: Rows) -> tuple[float, float]:
    return 100 * auroc(known, unknown), 100 * fpr_at_tpr(known, unknown)


def row(scores: Rows, is_known: Rows, left: Any, known: Rows, unknown: Rows) -> tuple[float, ...]:
    """AUROC and FPR95 in the stream and of the state left, on other images, and false rejections by that."""
    in_stream = (np.nan, np.nan)
    if 0 < is_known.sum() < len(is_known):
        in_stream = figures(scores[is_known], scores[~is_known])
    after = figures(left.score_samples(known), left.score_samples(unknown))
    return (*in_stream, *after, 100 * float(np.mean(left.decision_function(known) < 0)))


def measure(
    case: Case, n_orders: int, adapted: list[tuple[str, str, int]]
) -> dict[tuple[str, str], list[Any]]:
    """By kind of stream and detector: figures in the stream, of the state left, and false rejections."""
    found: dict[tuple[str, str], list[Any]] = defaultdict(list)
    detectors = {name: fitted(case, name) for name in STATIC if name in {own for own, *_ in adapted}}
    for number in range(n_orders):
        rng = np.random.RandomState(number)
        halved = {}
        for name, Z in {"known": case.test[0], **case.unknown}.items():
            order = rng.permutation(len(Z))
            halved[name] = Z[order[: len(Z) // 2]], Z[order[len(Z) // 2 :]]
        known, unknown = halved["known"][1], np.concatenate([halved[name][1] for name in case.unknown])
        for kind, make in KINDS.items():
            sizes = {name: len(halved[name][0]) for name in case.unknown}
            items = make(len(halved["known"][0]), sizes, rng)
            if not items:
                continue
            Z = np.stack([halved[name][0][i] for name, i in items])
            is_known = np.array([name == "known" for name, _ in items])

            for name, detector in detectors.items():
                found[kind, name].append(row(detector.score_samples(Z), is_known, detector, known, unknown))
            for name, adaptation, every in adapted:
                if name != "NegPromptDetector" and (number or kind not in _SLOW):
                    continue
                stream = StreamDetector(detectors[name], adaptation, move_every=every, random_state=0)
                scores = stream.partial_score(Z)
                found[kind, f"{name} + {adaptation}"].append(row(scores, is_known, stream, known, unknown))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--orders", type=int, default=3)
    parser.add_argument("--tasks", nargs="+", default=["photos", "halves", "splits"])
    parser.add_argument(
        "--adaptations", nargs="+", default=["nearest", "tanl", "adaneg", "clipscope", "tins"]
    )
    parser.add_argument("--choose", action="store_true")
    options = parser.parse_args()
    if options.choose:
        return choose(options.data, options.tasks, options.orders)
    say = sys.stdout.write
    adapted = [item for item in ADAPTED if item[1] in options.adaptations]
    static = [name for name in STATIC if name in {own for own, *_ in adapted}]
    labels = [*static, *(f"{name} + {adaptation}" for name, adaptation, _ in adapted)]
    every: dict[tuple[str, str], list[Any]] = defaultdict(list)
    largest: dict[str, float] = defaultdict(float)
    say("| task | stream | " + " | ".join(labels) + " |\n" + "|---" * (len(labels) + 2) + "|\n")
    for case in cases(options.data, options.tasks):
        found = measure(case, options.orders, adapted)
        for kind in KINDS:
            cells = []
            for label in labels:
                if not found[kind, label]:
                    cells.append("")
                    continue
                mean = np.mean(found[kind, label], axis=0)
                every[kind, label].append(mean)
                largest[label] = max(largest[label], mean[4])
                shown = mean[:2] if np.isfinite(mean[0]) else mean[2:4]
                cells.append(f"{shown[0]:.1f} / {shown[1]:.1f} ({mean[4]:.1f})")
            say(f"| {case.name} | {kind} | " + " | ".join(cells) + " |\n")
            sys.stdout.flush()
    say("\n| stream | " + " | ".join(labels) + " |\n" + "|---" * (len(labels) + 1) + "|\n")
    for kind in KINDS:
        cells = []
        for label in labels:
            mean = np.mean(every[kind, label], axis=0) if every[kind, label] else np.full(5, np.nan)
            shown = mean[:2] if np.isfinite(mean[0]) else mean[2:4]
            cells.append(f"{shown[0]:.1f} / {shown[1]:.1f}" if np.isfinite(shown[0]) else "")
        say(f"| {kind} | " + " | ".join(cells) + " |\n")
    say("| state left, 1:1 | ")
    say(
        " | ".join("{:.1f} / {:.1f}".format(*np.mean(every["1:1", lb], axis=0)[2:4]) for lb in labels)
        + " |\n"
    )
    say("| most rejected | " + " | ".join(f"{largest[label]:.1f}" for label in labels) + " |\n")


if __name__ == "__main__":
    main()
