"""Negatives trained on look-alike classes, as a part of the score: a table of docs/evidence.md.

    python benchmarks/complementary.py --data ROOT [--seeds 3] [--tasks splits halves photos]

Trains positives as by default and negatives by `skneg.prompts.losses.complementary` alone, all of it in two
halves for the scores of training images, and adds to the score by text, the log odds of the names against
words, a multiple of ``sum_j p_j d_j``: d_j is the lead of class j over its negatives, p the softmax of the
positives' logits. Prints AUROC by text alone and of the joint score, means over the seeds.
"""

from __future__ import annotations

import argparse
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from evidence import Case, halves, photos, splits
from scipy.special import logsumexp, softmax

from skneg import CalibrationWarning, Words
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


def run(case: Case, seed: int) -> dict[tuple[str, str, float], float]:
    """AUROC in percent by set of unknown images, kind of score, and weight of the negatives."""
    backbone, settings = load_backbone(case.model), Words()
    tower, (X, y), k = backbone.text_tower, case.train, len(case.names)
    X, T = np.asarray(X, dtype=np.float32), tower.temperature
    anchors = embed_names(tower, case.names, [TEMPLATE])
    words, listed = settings.embed(backbone, [TEMPLATE])
    kept = listed[settings.choose(words, listed, anchors, case.names)]

    def learn(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        known, numbers = np.unique(y[rows], return_inverse=True)
        names = [case.names[c] for c in known]
        learned = train_prompts(
            tower, names, X[rows], numbers, RECIPE, anchors=anchors[known], words=kept, seed=seed
        )
        positive = embed_contexts(tower, learned.positive_context[None], case.names)[0]
        return positive, embed_contexts(tower, learned.negative_context, case.names)

    def say(Z: np.ndarray, bank: Any, weight: float, gone: Any = None) -> tuple[np.ndarray, np.ndarray]:
        logits, others = ((Z @ side.T).astype(np.float64) / T for side in (bank[0], kept))
        negative = np.stack([Z @ side.T for side in bank[1]]).astype(np.float64) / T
        leads = logits - logsumexp(negative, axis=0) + np.log(len(negative))
        seen = logits.copy()
        if gone is not None:
            seen[np.arange(len(Z)), gone] = -np.inf
        odds = logsumexp(seen, axis=1) - logsumexp(others, axis=1)
        return logits, odds + weight * (softmax(seen, axis=1) * leads).sum(axis=1)

    half = folds(y, 2, np.random.RandomState(seed))
    whole, own = learn(np.arange(len(y))), [learn(np.flatnonzero(half != h)) for h in (0, 1)]
    figures = {}
    for weight in WEIGHTS:

        def text_of(rows: np.ndarray, gone: Any = None, weight: float = weight) -> Any:
            logits, text = np.empty((len(rows), k)), np.empty(len(rows))
            for h in (0, 1):
                ours = half[rows] == h
                struck_out = None if gone is None else gone[ours]
                logits[ours], text[ours] = say(X[rows[ours]], own[h], weight, struck_out)
            return logits, text

        joint, *_ = JointScore.fit(X, y, case.names, np.random.RandomState(seed), text_of)

        def scores(
            Z: np.ndarray, weight: float = weight, joint: Any = joint
        ) -> tuple[np.ndarray, np.ndarray]:
            logits, text = say(Z, whole, weight)
            return text, joint.score(joint.parts(logits, text, joint.images(Z)))

        known = scores(case.test[0])
        for name, Z in case.unknown.items():
            for kind, ours, theirs in zip(("text", "joint"), known, scores(Z), strict=True):
                figures[name, kind, weight] = 100 * auroc(ours, theirs)
    return figures


def main() -> None:
    tasks = {"splits": splits, "halves": halves, "photos": photos}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tasks", nargs="+", default=list(tasks), choices=list(tasks))
    options = parser.parse_args()
    warnings.simplefilter("ignore", CalibrationWarning)
    found: dict[tuple, list[float]] = defaultdict(list)
    for task in options.tasks:
        for seed in range(options.seeds):
            for case in tasks[task](options.data, seed):
                if task != "photos" or case.name.split(", ")[1] in ("20 a class", "5 a class"):
                    for (name, kind, weight), value in run(case, seed).items():
                        found[case.name, name, kind, weight].append(value)
    print("| task | unknown |" + "".join(f" {kind}, {w} |" for kind in ("text", "joint") for w in WEIGHTS))
    print("|---" * (2 + 2 * len(WEIGHTS)) + "|")
    for case, name in dict.fromkeys(key[:2] for key in found):
        cells = (np.mean(found[case, name, kind, w]) for kind in ("text", "joint") for w in WEIGHTS)
        print(f"| {case} | {name} |" + "".join(f" {cell:.1f} |" for cell in cells))


if __name__ == "__main__":
    main()
