"""False alarms of `DriftMonitor`'s test over clean streams, and how late it finds unknown images.

    python benchmarks/monitoring.py --data ../shared/data [--streams 1000]

On scores that MCM and GL-MCM give 50,000 images of ImageNet and 35,640 of four OOD sets (ViT-B/16,
`vitb16_imagenet_scores.npz`). Each stream draws other images: some as reference, others as the stream.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from skneg.monitoring import Martingale

FALSE_ALARM = 0.01
CLEAN, MIXED = 2000, 5000  # images of a clean stream, and of one that has changed


def alarm_row(reference: np.ndarray, *parts: np.ndarray, seed: int) -> float:
    """The image of the last part at which the alarm goes off; infinity where it does not."""
    martingale = Martingale(reference, seed)
    for part in parts:
        _, evidence = martingale.update(part)
    above = np.flatnonzero(evidence >= -np.log(FALSE_ALARM))
    return above[0] + 1 if len(above) else np.inf


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--streams", type=int, default=1000, help="clean streams")
    options = parser.parse_args()
    scores = np.load(options.data / "vitb16_imagenet_scores.npz")
    rng = np.random.default_rng(0)
    for n_reference in (200, 1000, 5000):
        known = scores["mcm_imagenet"]
        false = 0
        for seed in range(options.streams):
            drawn = rng.permutation(len(known))[: n_reference + CLEAN]
            false += np.isfinite(alarm_row(known[drawn[:n_reference]], known[drawn[n_reference:]], seed=seed))
        print(
            f"{n_reference} reference images: {false} false alarms in {options.streams} streams of {CLEAN} "
            f"(promised: at most {FALSE_ALARM:.0%})"
        )
    print(
        "\nafter 500 clean images, unknown ones: images until the alarm, median of 20 streams, four OOD sets"
    )
    print("| score | reference | 5 % unknown | 10 % | 20 % |\n|---|---|---|---|---|")
    for score in ("mcm", "gl_mcm"):
        known = scores[f"{score}_imagenet"]
        for n_reference in (1000, 5000):
            cells = []
            for share in (0.05, 0.1, 0.2):
                late = []
                for seed in range(20):
                    strange = scores[f"{score}_{('inaturalist', 'sun', 'places', 'textures')[seed % 4]}"]
                    drawn = rng.permutation(len(known))[: n_reference + 500 + MIXED]
                    reference, clean, mixed = np.split(known[drawn], [n_reference, n_reference + 500])
                    is_strange = rng.random(MIXED) < share
                    mixed[is_strange] = rng.choice(strange, int(is_strange.sum()), replace=False)
                    late.append(alarm_row(reference, clean, mixed, seed=seed))
                found, n = np.isfinite(late).sum(), len(late)
                told = f"{np.median(late):.0f}" if np.isfinite(np.median(late)) else f"more than {MIXED}"
                cells.append(told if found == n else f"{told} (no alarm in {n - found} of {n})")
            print(f"| {score} | {n_reference} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
