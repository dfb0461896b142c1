"""`ood_report` with bootstrap intervals, beside a loop of scikit-learn's metrics over the same draws.

    OMP_NUM_THREADS=1 python benchmarks/metrics.py

Scores of ImageNet's size: 50,000 ID images and four OOD sets. The loop runs a few draws; its seconds are
scaled to all of them.
"""

from __future__ import annotations

import numpy as np
from _measure import best, row
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from skneg.metrics import ood_report

DRAWS, NAIVE = 1000, 5


def plain(known: np.ndarray, strange: dict[str, np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(NAIVE):
        ours = rng.choice(known, len(known))
        for scores in strange.values():
            both = np.concatenate([ours, rng.choice(scores, len(scores))])
            is_id = np.arange(len(both)) < len(ours)
            roc_auc_score(is_id, both)
            fpr, tpr, _ = roc_curve(is_id, both)
            fpr[np.searchsorted(tpr, 0.95)]
            average_precision_score(is_id, both)
            average_precision_score(~is_id, -both)


def main() -> None:
    rng = np.random.default_rng(0)
    known = rng.normal(1, 1, 50_000)
    strange = {
        name: rng.normal(0, 1, n) for name, n in zip("abcd", (10_000, 10_000, 10_000, 5_640), strict=True)
    }
    row(
        f"ood_report, {DRAWS} draws, 50,000 + 35,640 scores",
        best(lambda: ood_report(known, strange, n_draws=DRAWS, random_state=0), 1),
        f"a loop over scikit-learn's metrics, {NAIVE} draws scaled to {DRAWS}",
        best(lambda: plain(known, strange), 1) * DRAWS / NAIVE,
    )  # fmt: skip


if __name__ == "__main__":
    main()
