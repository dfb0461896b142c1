"""Known from unknown photographs on your own folders.

    python benchmarks/photos.py FOLDER [--ood FOLDER ...] [--model MODEL]

FOLDER holds one folder of images per known class, named after the class. Some images of each class
train the detector, the rest test it. Each ``--ood`` folder holds images of anything else, at any depth.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np

from skneg import CLIPImageEncoder, MCMDetector, NegPromptDetector
from skneg.datasets import list_images, load_image_folder
from skneg.metrics import auroc, fpr_at_tpr

logging.basicConfig(level=logging.INFO, format="%(message)s")
say = logging.getLogger("photos").info


def split(y: np.ndarray, n_train: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `n_train` random images of each class, and all other rows.

    Not by `sample_shots`, which draws others: the figures of the README are from these.
    """
    rng = np.random.default_rng(seed)
    train = np.concatenate([rng.permutation(np.flatnonzero(y == label))[:n_train] for label in np.unique(y)])
    return train, np.setdiff1d(np.arange(len(y)), train)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ood", type=Path, nargs="*", default=[])
    parser.add_argument("--model", default="ViT-B-16", help="an open_clip model, or local-dir:FOLDER")
    parser.add_argument("--pretrained", default=None)
    parser.add_argument("--train", type=int, default=20, help="images per class to train on")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()

    paths, y = load_image_folder(args.folder)
    backbone = {"model": args.model, "pretrained": args.pretrained}
    # Every image is encoded once; detectors take embeddings as well as images.
    encoder = CLIPImageEncoder(**backbone, verbose=True)
    X = encoder.transform(paths)
    others = {folder.name: encoder.transform(list_images(folder)) for folder in args.ood}

    rows: dict[str, list] = {"zero-shot MCM": [], "NegPrompt": []}
    for seed in range(args.seeds):
        train, test = split(y, args.train, seed)
        for title, detector in (
            ("zero-shot MCM", MCMDetector(**backbone)),
            ("NegPrompt", NegPromptDetector(**backbone, random_state=seed, verbose=True)),
        ):
            detector.fit(X[train], y[train])
            known = detector.score_samples(X[test])
            accuracy = np.mean(detector.classes_[detector.predict_proba(X[test]).argmax(1)] == y[test])
            row = [100 * accuracy]
            for unknown in others.values():
                scores = detector.score_samples(unknown)
                row += [100 * auroc(known, scores), 100 * fpr_at_tpr(known, scores)]
            rows[title].append(row)
    say(f"\n{len(np.unique(y))} classes, {args.train} images each; mean of {args.seeds} seeds, in percent")
    say(f"{'':<16}{'accuracy':>10}" + "".join(f"{name + ' AUROC/FPR95':>26}" for name in others))
    for title, values in rows.items():
        accuracy, *rest = np.mean(values, axis=0)
        cells = "".join(f"{a:>18.2f} / {f:5.1f}" for a, f in zip(rest[::2], rest[1::2], strict=True))
        say(f"{title:<16}{accuracy:>10.1f}{cells}")


if __name__ == "__main__":
    main()
