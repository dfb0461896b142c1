"""What drawing classes for each training step costs in quality: figures of docs/evidence.md.

    python benchmarks/classes_per_step.py --data ROOT [--seeds 2] [--per-step 0 256]

Fits the default `NegPromptDetector` on the 1,000 classes of ImageNet, 4 images each, as CLIP ViT-B/32
embeddings (ROOT/clip-vitb32-features) with the text tower ROOT/clip-student. Prints for each seed and number
of classes a step (0 for all) closed-set accuracy on 3 other images a class, by the whole detector and by the
positives' text alone, AUROC against three sets, and processor seconds of `fit`.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from _measure import show

from skneg import NegPromptDetector, PromptRecipe, SknegWarning
from skneg.benchmarks._sources import feature_model
from skneg.datasets._image_classes import distinct_names
from skneg.metrics import auroc


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--per-step", type=int, nargs="+", default=[0, 256], metavar="M")
    parser.add_argument("--complementary", type=float, default=0.0, help="complementary_weight of the recipe")
    options = parser.parse_args()
    warnings.simplefilter("ignore", SknegWarning)
    folder = options.data / "clip-vitb32-features"
    with np.load(folder / "imagenet.npz") as arrays:
        names = distinct_names(arrays["class_names"].tolist())
        X, Z = (arrays[part].astype(np.float32) for part in ("train", "test"))
        y, right = arrays["train_y"], arrays["test_y"]
    with np.load(folder / "ood.npz") as arrays:
        unknown = {name: arrays[name].astype(np.float32) for name in ("flowers", "sun397", "dtd")}
    for seed in range(options.seeds):
        for m in options.per_step:
            recipe = PromptRecipe(classes_per_step=m or None, complementary_weight=options.complementary)
            start = time.process_time()
            detector = NegPromptDetector(
                model=feature_model(options.data), class_names=names, recipe=recipe, random_state=seed
            ).fit(X, y)
            seconds, scores = time.process_time() - start, detector.score_samples(Z)
            found = detector.predict_proba(Z).argmax(axis=1)
            by_text = (Z @ detector.text_bank_.positive.T).argmax(axis=1)
            against = {
                name: round(100 * auroc(scores, detector.score_samples(other)), 2)
                for name, other in unknown.items()
            }
            show(
                classes_per_step=m or len(names), seed=seed, fit_s=round(seconds),
                accuracy=round(100 * float((found == right).mean()), 2),
                accuracy_of_text=round(100 * float((by_text == right).mean()), 2), **against,
            )  # fmt: skip


if __name__ == "__main__":
    main()
