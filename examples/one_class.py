"""Good images only: find what is not like them.

    python examples/one_class.py GOOD [--bad FOLDER] [--model MODEL]

GOOD holds images of good parts, at any depth. Some train the detector, others set its
threshold with ``--calibrate``, and the rest show how many good parts it rejects, and the files that it
ranks worst. With ``--bad``, a folder of images with defects, also how many of these it finds. No bad
image is used in training.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np

from skneg import CLIPImageEncoder, NegPromptDetector
from skneg.datasets import list_images
from skneg.metrics import auroc, fpr_at_tpr

logging.basicConfig(level=logging.INFO, format="%(message)s")
say = logging.getLogger("one_class").info


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("good", type=Path)
    parser.add_argument("--bad", type=Path)
    parser.add_argument("--model", default="ViT-B-16", help="an open_clip model, or local-dir:FOLDER")
    parser.add_argument("--pretrained", default=None)
    parser.add_argument("--train", type=int, default=50, help="good images to train on")
    parser.add_argument("--calibrate", type=int, default=0, help="further good images, for the threshold")
    parser.add_argument("--contamination", type=float, default=0.05, help="share of good parts to reject")
    parser.add_argument("--worst", type=int, default=5, help="files to list")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    files = list_images(args.good)
    defects = [] if args.bad is None else list_images(args.bad)
    if both := {path.resolve() for path in files} & {path.resolve() for path in defects}:
        parser.error(f"{len(both)} images, such as {min(both)}, are in both folders: one in the other?")
    if min(args.train - 1, args.calibrate) < 0 or args.train + args.calibrate >= len(files):
        parser.error(f"{args.good} has {len(files)} images: --train and --calibrate must leave some to test")

    order = np.random.default_rng(args.seed).permutation(len(files))
    parts = np.split(order, [args.train, args.train + args.calibrate])
    train, fresh, test = ([files[row] for row in rows] for rows in parts)
    encoder = CLIPImageEncoder(model=args.model, pretrained=args.pretrained, verbose=True)
    detector = NegPromptDetector(
        evidence="images", contamination=args.contamination, random_state=args.seed,
        model=args.model, pretrained=args.pretrained,
    )  # fmt: skip
    detector.fit(encoder.transform(train), ["good"] * len(train))
    if fresh:
        detector.calibrate(encoder.transform(fresh))

    def look_at(title: str, images: list[Path]) -> np.ndarray:
        X = encoder.transform(images)
        scores, p, rejected = detector.score_samples(X), detector.p_values(X), detector.predict(X) != "good"
        share = f"{rejected.sum()} of {len(images)} {title} images"
        say(f"\n{share} are rejected ({100 * rejected.mean():.1f} %). Ranked worst:")
        # Of good images those with the lowest scores, of bad ones those with the highest.
        for row in np.argsort(scores if title == "good" else -scores)[: args.worst]:
            say(f"  {scores[row]:7.2f}  p {p[row]:.3f}  {images[row]}")
        return scores

    say(f"{len(train)} good images train the detector; it rejects scores below {detector.offset_:.2f}.")
    good = look_at("good", test)
    if defects:
        bad = look_at("bad", defects)
        say(f"\nAUROC {100 * auroc(good, bad):.1f} %")
        say(f"FPR95 {100 * fpr_at_tpr(good, bad):.1f} %: bad images accepted where 95 % of good ones are.")


if __name__ == "__main__":
    main()
