"""What scoring embeddings costs, beside the bare matrix product on the same numbers.

    OMP_NUM_THREADS=1 python benchmarks/scoring.py

Processor seconds, the best of some runs; memory is the peak of what Python allocates in a call.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
import warnings
from collections.abc import Callable

import numpy as np

from skneg import KNNDetector, LinearProbeDetector, MahalanobisDetector, MCMDetector


def unit(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    """Random rows (n, d) of length 1, float32."""
    rows = rng.standard_normal((n, d), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def best(call: Callable[[], object], runs: int) -> float:
    """Processor seconds of the quickest run."""
    seconds = []
    for _ in range(runs):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return min(seconds)


def peak(call: Callable[[], object]) -> float:
    """MiB that a call holds at most."""
    tracemalloc.start()
    call()
    size = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--classes", type=int, default=1_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    texts, Z = unit(rng, args.classes, args.width), unit(rng, args.rows, args.width)
    y = np.arange(4 * 100) % 100
    X = unit(rng, 100, args.width)[y] + 0.5 * unit(rng, len(y), args.width)
    names = [f"class {number}" for number in range(args.classes)]
    detectors = {
        f"MCM, {args.classes} classes": MCMDetector(text_bank=texts, class_names=names).fit(Z[:500]),
        "Mahalanobis, 100 classes": MahalanobisDetector(random_state=0).fit(X, y),
        "KNN, 400 images": KNNDetector(random_state=0).fit(X, y),
        "LinearProbe, 100 classes": LinearProbeDetector(random_state=0).fit(X, y),
    }
    square = unit(rng, args.width, args.width)
    products = {
        "MCM": lambda: Z @ texts.T,
        "Mahalanobis": lambda: (Z.astype(np.float64) @ square) @ texts[:100].T,
        "KNN": lambda: Z @ X.T.astype(np.float32),
        "LinearProbe": lambda: Z @ texts[:100].T,
    }
    print(f"{args.rows} rows of {args.width}, {Z.nbytes / 2**20:.0f} MiB")
    print(f"{'':26}{'product':>9}{'score':>9}{'ratio':>7}{'predict':>9}{'score':>10}{'predict':>10}")
    for name, detector in detectors.items():
        product = best(products[name.split(",")[0]], args.runs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # random rows are far from those of fit
            calls = [lambda d=detector: d.score_samples(Z), lambda d=detector: d.predict(Z)]
            score, predict = (best(call, args.runs) for call in calls)
            memory = [peak(call) for call in calls]
        print(
            f"{name:26}{product:8.2f}s{score:8.2f}s{score / product:7.1f}{predict:8.2f}s"
            + "".join(f"{size:6.0f} MiB" for size in memory)
        )


if __name__ == "__main__":
    main()
