"""What the joint score costs in time and memory: the figures of docs/evidence.md.

    python benchmarks/evidence_cost.py [--classes 1000] [--shots 4]

On random embeddings with d = 512: seconds of `JointScore.fit` beside the prompts and the memory that it
takes, and the time of scoring in relation to that of text alone, with 5,500 words and 2 negatives a class.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np
from scipy.special import logsumexp

from skneg._utils import unit_rows
from skneg.evidence import JointScore
from skneg.scores import negative_odds

D, WORDS, NEW = 512, 5500, 2000


def fastest(call: Callable[[], object], repetitions: int = 5) -> float:
    seconds = []
    for _ in range(repetitions):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--shots", type=int, default=4)
    options = parser.parse_args()
    rng, k = np.random.default_rng(0), options.classes
    positive, negative, words, new = (unit_rows(rng.normal(size=(n, D))) for n in (k, 2 * k, WORDS, NEW))
    y = np.repeat(np.arange(k), options.shots)
    X = unit_rows(positive[y] + 0.05 * rng.normal(size=(len(y), D)))

    def text_of(rows: np.ndarray, struck_out: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        logits = (X[rows] @ positive.T / 0.01).astype(np.float64)
        seen = logits.copy()
        if struck_out is not None:
            seen[np.arange(len(rows)), struck_out] = -np.inf
        return logits, logsumexp(seen, axis=1)

    before, start = gib(), time.perf_counter()
    joint, *_ = JointScore.fit(X, y, [str(c) for c in range(k)], np.random.RandomState(0), text_of)
    print(f"{k} classes, {options.shots} images each: fit {time.perf_counter() - start:.1f} s, "
          f"{gib() - before:.2f} GiB more than before")  # fmt: skip

    def text() -> np.ndarray:
        return negative_odds(new @ positive.T, new @ negative.T, new @ words.T)

    def both() -> np.ndarray:
        said = text()
        return joint.score(joint.parts(new @ positive.T / np.float64(0.01), said, joint.images(new)))

    ratio = fastest(both) / fastest(text)
    print(f"scoring {NEW} images: {ratio:.2f} times the time of text alone")


if __name__ == "__main__":
    main()
