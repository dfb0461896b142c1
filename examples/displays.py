"""The displays of skneg on the model that ships with it: ``python examples/displays.py``.

Draws the pictures of docs/displays.md. A detector learns twelve shapes from 16 images each. Shapes it was
never shown are near out-of-distribution (OOD) images; textures, noise and photographs are far ones.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from sklearn.pipeline import make_pipeline

from skneg import CLIPImageEncoder, NegPromptDetector
from skneg.datasets import SHAPE_NAMES, make_far_ood, make_scenes
from skneg.plotting import (
    ConfusionDisplay,
    EmbeddingMapDisplay,
    ImageGridDisplay,
    OODRocDisplay,
    ScoreHistogramDisplay,
    SimilarityDisplay,
    TrainingCurveDisplay,
)

KNOWN, NEAR = SHAPE_NAMES[0:36:3], SHAPE_NAMES[1:36:3]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo-output"), help="where the pictures go")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    say = logging.getLogger("displays").info

    X_train, y_train = make_scenes(16 * len(KNOWN), shapes=KNOWN, random_state=0)
    X_test, y_test = make_scenes(240, shapes=KNOWN, random_state=1)
    ood = {
        "near OOD": make_scenes(240, shapes=NEAR, random_state=2)[0],
        "far OOD": make_far_ood(240, random_state=3),
    }
    detector = make_pipeline(
        CLIPImageEncoder(model="skneg-tiny"), NegPromptDetector(model="skneg-tiny", random_state=0)
    ).fit(X_train, y_train)

    displays = {
        "score_histogram.png": ScoreHistogramDisplay.from_estimator(detector, X_test, ood=ood),
        "ood_roc.png": OODRocDisplay.from_estimator(detector, X_test, ood=ood),
        "similarity.png": SimilarityDisplay.from_estimator(detector, X_test, ood=ood),
        "embedding_map.png": EmbeddingMapDisplay.from_estimator(detector, X_test, ood=ood, random_state=0),
        "training_curve.png": TrainingCurveDisplay.from_estimator(detector),
        "confusion.png": ConfusionDisplay.from_estimator(detector, X_test, y_test, ood=ood),
        "image_grid.webp": ImageGridDisplay.from_estimator(detector, ood["near OOD"]),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    for name, display in displays.items():
        path = args.out / name
        display.figure_.savefig(path, dpi=100, pil_kwargs={"optimize": True})
        plt.close(display.figure_)
        say(str(path))


if __name__ == "__main__":
    main()
