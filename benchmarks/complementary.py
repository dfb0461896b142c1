"""Negatives trained on look-alike classes, as a part of the score: a table of docs/evidence.md.

    python benchmarks/complementary.py --data ROOT [--seeds 3] [--tasks splits halves photos]

Trains positives as by default and negatives by `skneg.prompts.losses.complementary` alone, all of it in two
halves for the scores of training images, and adds to the score by text, the log odds of the names against
words, a multiple of ``sum_j p_j d_j``: d_j is the lead of class j over its negatives, p the softmax of the
positives' logits. Prints AUROC by text alone and of the joint score, means over the seeds. Other ways to
train the negatives: complementary_study.py.
"""

from __future__ import annotations

import argparse
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from evidence import Case, halves, photos, splits
from scipy.special import logsumexp, softmax
from sklearn.base import clone

from skneg import SknegWarning, Words
from skneg.backbone import load_backbone
from skneg.evidence import JointScore, folds
from skneg.metrics import auroc
from skneg.prompts import PromptRecipe
from skneg.prompts.encoding import embed_contexts
from skneg.prompts.training import train_prompts
from skneg.words import embed_names

RECIPE = PromptRecipe(
    nis_over=None, beta=0.0, gamma=0.0, outlier_weight=0.0, complementary_weight=1.0, negative_noise=0.02
)
WEIGHTS = (0.0, 0.5, 1.0)
TEMPLATE = "a photo of a {}"
STRUCK_OUT = "struck out"

Figures = dict[str, dict[str, float]]  # by set of unknown images, then by kind of score and weight


def run(case: Case, seed: int, variants: dict[str, dict[str, Any]]) -> Iterator[tuple[str, Figures]]:
    """AUROC in percent of each variant, given by what differs from `RECIPE`.

    "trained" is the share of the classes, the first ones, whose images train prompts; all names are scored.
    The figure `STRUCK_OUT` is of training images alone: how well the same score tells them from themselves
    with their own class taken away.
    """
    backbone, settings = load_backbone(case.model), Words()
    tower, (X, y), k = backbone.text_tower, case.train, len(case.names)
    X, T = np.asarray(X, dtype=np.float32), tower.temperature
    anchors = embed_names(tower, case.names, [TEMPLATE])
    words, listed = settings.embed(backbone, [TEMPLATE])
    kept = listed[settings.choose(words, listed, anchors, case.names)]
    half = folds(y, 2, np.random.RandomState(seed))
    positives: dict[tuple[int, int], np.ndarray] = {}  # the variants share them

    def learn(rows: np.ndarray, part: int, trained: float = 1.0, **changes: Any) -> Any:
        n_trained = max(2, int(trained * k))
        rows = rows[y[rows] < n_trained]
        known, numbers = np.unique(y[rows], return_inverse=True)
        given = tower, [case.names[c] for c in known], X[rows], numbers
        beside = {"anchors": anchors[known], "words": kept, "seed": seed}
        if (n_trained, part) not in positives:
            learned = train_prompts(*given, clone(RECIPE).set_params(negative_steps=0), **beside)
            positives[n_trained, part] = learned.positive_context
        positive = positives[n_trained, part]
        second = clone(RECIPE).set_params(positive_steps=0, **changes)
        learned = train_prompts(*given, second, start=positive, **beside)
        sides = positive[None], learned.negative_context
        return tuple(embed_contexts(tower, side, case.names) for side in sides)

    def say(Z: np.ndarray, bank: Any, weight: float, gone: Any = None) -> tuple[np.ndarray, np.ndarray]:
        logits, others = ((Z @ side.T).astype(np.float64) / T for side in (bank[0][0], kept))
        negative = np.stack([Z @ side.T for side in bank[1]]).astype(np.float64) / T
        leads = logits - logsumexp(negative, axis=0) + np.log(len(negative))
        seen = logits.copy()
        if gone is not None:
            seen[gone] = -np.inf
        odds = logsumexp(seen, axis=1) - logsumexp(others, axis=1)
        return logits, odds + weight * (softmax(seen, axis=1) * leads).sum(axis=1)

    def measure(whole: Any, own: Any, weight: float) -> dict[str, tuple[float, ...]]:
        def text_of(rows: np.ndarray, gone: Any = None) -> Any:
            logits, text = np.empty((len(rows), k)), np.empty(len(rows))
            for h in (0, 1):
                ours = half[rows] == h
                struck_out = None if gone is None else gone[ours]
                logits[ours], text[ours] = say(X[rows[ours]], own[h], weight, struck_out)
            return logits, text

        rng = np.random.RandomState(seed)
        joint, rows, _, seen = JointScore.fit(X, y, case.names, rng, text_of)

        def scores(Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            logits, text = say(Z, whole, weight)
            return text, joint.score(joint.parts(logits, text, joint.say(Z)))

        def without(gone: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            is_gone = np.arange(k) == gone[:, None]
            logits, text = text_of(rows, is_gone)
            left, evidence = (
                part[~is_gone].reshape(len(rows), k - 1, *part.shape[2:]) for part in (logits, seen.evidence)
            )
            return text, joint.score(joint.parts(left, text, evidence))

        known, sides = scores(case.test[0]), {name: scores(Z) for name, Z in case.unknown.items()}
        compared = {name: (known, unknown) for name, unknown in sides.items()}
        another = (y[rows] + rng.randint(1, k, len(rows))) % k
        compared[STRUCK_OUT] = without(another), without(y[rows])
        return {
            name: tuple(100 * auroc(*pair) for pair in zip(*both, strict=True))
            for name, both in compared.items()
        }

    for variant, changes in variants.items():
        whole = learn(np.arange(len(y)), 2, **changes)
        own = [learn(np.flatnonzero(half != h), h, **changes) for h in (0, 1)]
        figures: Figures = defaultdict(dict)
        for weight in WEIGHTS:
            for name, (text, joint) in measure(whole, own, weight).items():
                figures[name] |= {f"text, {weight}": text, f"joint, {weight}": joint}
        yield variant, figures


def main() -> None:
    tasks = {"splits": splits, "halves": halves, "photos": photos}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tasks", nargs="+", default=list(tasks), choices=list(tasks))
    options = parser.parse_args()
    warnings.simplefilter("ignore", SknegWarning)
    found: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    for task in options.tasks:
        for seed in range(options.seeds):
            for case in tasks[task](options.data, seed):
                if task != "photos" or case.name.split(", ")[1] in ("20 a class", "5 a class"):
                    figures = next(run(case, seed, {"base": {}}))[1]
                    for name in case.unknown:
                        found[case.name, name].append(figures[name])
    kinds = [f"{kind}, {weight}" for kind in ("text", "joint") for weight in WEIGHTS]
    print(f"| task | unknown | {' | '.join(kinds)} |\n{'|---' * (2 + len(kinds))}|")
    for (task, name), rows in found.items():
        cells = (f" {np.mean([row[kind] for row in rows]):.1f} |" for kind in kinds)
        print(f"| {task} | {name} |" + "".join(cells))


if __name__ == "__main__":
    main()
