"""What scores cost in time and memory: figures of docs/evidence.md and docs/performance.md.

    OMP_NUM_THREADS=1 python benchmarks/evidence_cost.py [--classes 10 100 1000] [--shots 4]

On random embeddings with d = 512, 5,500 words and 2 negatives a class: seconds of `JointScore.fit` beside
the prompts and the memory that it takes; embeddings a second that text scores, and how many times as long
the joint score takes, with the images. All seconds are those of the processor, on one thread.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from _measure import best, peak_gib, show
from scipy.special import logsumexp

from skneg._utils import unit_rows
from skneg.evidence import JointScore
from skneg.scores import negative_odds

D, WORDS, NEW = 512, 5500, 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--shots", type=int, default=4)
    options = parser.parse_args()
    for k in sorted(options.classes):  # the peak of the memory only rises
        measure(k, options.shots)


def measure(k: int, shots: int) -> None:
    rng = np.random.default_rng(0)
    positive, negative, words, new = (unit_rows(rng.normal(size=(n, D))) for n in (k, 2 * k, WORDS, NEW))
    y = np.repeat(np.arange(k), shots)
    X = unit_rows(positive[y] + 0.05 * rng.normal(size=(len(y), D)))

    def text_of(rows: np.ndarray, struck_out: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        logits = (X[rows] @ positive.T / 0.01).astype(np.float64)
        seen = logits.copy()
        if struck_out is not None:
            seen[struck_out] = -np.inf
        return logits, logsumexp(seen, axis=1)

    before, start = peak_gib(), time.process_time()
    joint, *_ = JointScore.fit(X, y, [str(c) for c in range(k)], np.random.RandomState(0), text_of)
    seconds = time.process_time() - start
    show(classes=k, shots=shots, fit_s=round(seconds, 1), fit_gib=round(peak_gib() - before, 2))

    def text() -> np.ndarray:
        return negative_odds(new @ positive.T, new @ negative.T, new @ words.T)

    def both() -> np.ndarray:
        said = text()
        return joint.score(joint.parts(new @ positive.T / np.float64(0.01), said, joint.say(new)))

    alone, joined = best(text, 5), best(both, 5)
    show(classes=k, by_text_per_s=round(NEW / alone), with_images_per_s=round(NEW / joined))


if __name__ == "__main__":
    main()
