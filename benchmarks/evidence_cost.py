"""What scores cost in time and memory: figures of docs/evidence.md and docs/performance.md.

    OMP_NUM_THREADS=1 python benchmarks/evidence_cost.py [--classes 1000] [--shots 4]

On random embeddings with d = 512, 5,500 words and 2 negatives a class: seconds of `JointScore.fit` beside
the prompts and the memory that it takes; embeddings a second that text scores, and how many times as long
the joint score takes, with the images. All seconds are those of the processor, on one thread.
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


def fastest(call: Callable[[], object], repeats: int = 5) -> float:
    """Processor seconds of the cheapest of some calls."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
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

    before, start = gib(), time.process_time()
    joint, *_ = JointScore.fit(X, y, [str(c) for c in range(k)], np.random.RandomState(0), text_of)
    print(f"{k} classes, {options.shots} images each: fit {time.process_time() - start:.1f} s, "
          f"{gib() - before:.2f} GiB more than before")  # fmt: skip

    def text() -> np.ndarray:
        return negative_odds(new @ positive.T, new @ negative.T, new @ words.T)

    def both() -> np.ndarray:
        said = text()
        return joint.score(joint.parts(new @ positive.T / np.float64(0.01), said, joint.images(new)))

    alone, joined = fastest(text), fastest(both)
    print(
        f"{NEW / alone:.0f} embeddings a second by text; {joined / alone:.2f} times the time with the images"
    )


if __name__ == "__main__":
    main()
