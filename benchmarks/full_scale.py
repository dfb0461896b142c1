"""Metrics, thresholds, intervals and pictures at the size of ImageNet: the tables of docs/full-scale.md.

    OMP_NUM_THREADS=1 python benchmarks/full_scale.py --data ROOT [--splits 500] [--samples 200]

On the scores that MCM and GL-MCM give 50,000 validation images of ImageNet and 35,640 images of four OOD sets
(ViT-B/16, `ROOT/vitb16_imagenet_scores.npz`).
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from _measure import best, peak
from scipy.stats import betabinom

from skneg import MCMDetector, SknegWarning, report
from skneg.metrics import auroc, fpr_at_tpr, ood_report
from skneg.plotting import OODRocDisplay, ScoreHistogramDisplay
from skneg.threshold import conformal_offset

TITLES = {"inaturalist": "iNaturalist", "sun": "SUN", "places": "Places", "textures": "Textures"}
# AUROC and FPR95 of MCM that were published with the scores (github.com/X1AOX1A/SeTAR@1564daa).
PUBLISHED = {
    "iNaturalist": (94.43, 32.07),
    "SUN": (92.37, 38.65),
    "Places": (90.03, 43.72),
    "Textures": (86.13, 57.89),
}
ALPHA = 0.05
DRAWS = 300  # of the bootstrap, for the intervals of a sample


def table(*rows: list[str]) -> None:
    head, *others = rows
    for row in (head, ["---"] * len(head), *others):
        print(f"| {' | '.join(row)} |", flush=True)
    print()


def load(root: Path, method: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    with np.load(root / "vitb16_imagenet_scores.npz") as held:
        known = held[f"{method}_imagenet"].astype(np.float64)
        return known, {title: held[f"{method}_{name}"].astype(np.float64) for name, title in TITLES.items()}


def metrics(root: Path) -> None:
    rows = [["set", "MCM here", "published", "GL-MCM here"]]
    found: dict[str, list[tuple[float, float]]] = {}
    for method in ("mcm", "gl_mcm"):
        known, strange = load(root, method)
        found[method] = [(100 * auroc(known, s), 100 * fpr_at_tpr(known, s)) for s in strange.values()]
    printed = list(PUBLISHED.values())
    columns = [
        [*values, tuple(np.mean(values, axis=0))] for values in (found["mcm"], printed, found["gl_mcm"])
    ]
    for name, *cells in zip([*PUBLISHED, "mean"], *columns, strict=True):
        rows.append([name, *(f"{area:.2f} / {rate:.2f}" for area, rate in cells)])
    table(*rows)


def rejections(root: Path, splits: int) -> None:
    rows = [
        ["score", "calibration images", "rejected, mean", "expected", "5 to 95 % of the splits", "by the law"]
    ]
    for method, title in (("mcm", "MCM"), ("gl_mcm", "GL-MCM")):
        known, _ = load(root, method)
        for n in (100, 1000, 10_000):
            rng = np.random.default_rng(0)
            shares = []
            for _ in range(splits):
                mixed = rng.permutation(known)
                shares.append(100 * np.mean(mixed[n:] < conformal_offset(mixed[:n], ALPHA)))
            rank, others = int(ALPHA * (n + 1)), len(known) - n
            law = 100 * betabinom(others, rank, n + 1 - rank).ppf([0.05, 0.95]) / others
            seen = np.quantile(shares, [0.05, 0.95])
            rows.append([
                title, f"{n:,}", f"{np.mean(shares):.2f} %", f"{100 * rank / (n + 1):.2f} %",
                f"{seen[0]:.2f} to {seen[1]:.2f} %", f"{law[0]:.2f} to {law[1]:.2f} %",
            ])  # fmt: skip
    table(*rows)


def intervals(root: Path, samples: int) -> None:
    rows = [["set", "images of each side", "AUROC: width", "covers", "FPR95: width", "covers"]]
    known, strange = load(root, "mcm")
    for title, scores in strange.items():
        true = np.array([auroc(known, scores), fpr_at_tpr(known, scores)])
        for n in (200, 1000):
            rng, held, widths = np.random.default_rng(0), [], []
            for seed in range(samples):
                # With replacement: all scores are the population, whose values are known.
                sample = ood_report(
                    rng.choice(known, n), {title: rng.choice(scores, n)}, metrics=["auroc", "fpr95"],
                    n_draws=DRAWS, random_state=seed,
                )  # fmt: skip
                assert sample.low is not None
                assert sample.high is not None
                held.append((sample.low[0] <= true) & (true <= sample.high[0]))
                widths.append(100 * (sample.high[0] - sample.low[0]))
            covers, wide = 100 * np.mean(held, axis=0), np.mean(widths, axis=0)
            cells = (
                f"{wide[i]:.1f}" if part == 0 else f"{covers[i]:.1f} %" for i in (0, 1) for part in (0, 1)
            )
            rows.append([title, f"{n:,}", *cells])
    table(*rows)


def costs(root: Path) -> None:
    mpl.use("Agg")
    known, strange = load(root, "mcm")
    n = len(known) + sum(map(len, strange.values()))
    rng = np.random.default_rng(0)
    X, *others = (rng.normal(size=(len(s), 128)).astype(np.float32) for s in (known, *strange.values()))
    detector = MCMDetector(model="skneg-tiny", class_names=["star", "heart", "key"]).fit(X[:1000])
    sets = dict(zip(strange, others, strict=True))

    def drawn(display: Any) -> None:
        display.figure_.savefig(Path(folder) / "picture.png")
        mpl.pyplot.close(display.figure_)

    def page() -> None:
        report.html(detector, X, ood=sets, path=Path(folder) / "report.html", words=None)

    work: dict[str, Callable[[], Any]] = {
        "`ood_report`, 1,000 draws": lambda: ood_report(known, strange, random_state=0),
        "`ood_report`, no intervals": lambda: ood_report(known, strange, n_draws=0),
        "`OODRocDisplay`, to a file": lambda: drawn(OODRocDisplay.from_predictions(known, strange)),
        "`ScoreHistogramDisplay`, to a file": lambda: drawn(
            ScoreHistogramDisplay.from_predictions(known, strange)
        ),
        "`report.html` of as many embeddings, width 128": page,
    }
    rows = [[f"{n:,} scores", "seconds", "peak MiB"]]
    with tempfile.TemporaryDirectory() as folder:
        for name, call in work.items():
            call()  # what is imported and made once
            rows.append([name, f"{best(call, 2):.2f}", f"{peak(call):.0f}"])
    table(*rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--splits", type=int, default=500)
    parser.add_argument("--samples", type=int, default=200)
    options = parser.parse_args()
    warnings.simplefilter("ignore", SknegWarning)
    metrics(options.data)
    rejections(options.data, options.splits)
    intervals(options.data, options.samples)
    costs(options.data)


if __name__ == "__main__":
    main()
