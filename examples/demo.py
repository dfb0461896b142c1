"""What skneg does, in a minute, on the model that ships with it: ``make demo``.

A detector learns twelve shapes from 16 images each. Shapes it was never shown are near
out-of-distribution (OOD) images; textures, noise and photographs are far ones.
"""

from __future__ import annotations

import argparse
import logging
import os
import warnings
from pathlib import Path

# Before numpy and torch: on a model this small, threads cost more than they save.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from skneg import CalibrationWarning, CLIPImageEncoder, MCMDetector, NegPromptDetector, report
from skneg.datasets import SHAPE_NAMES, make_far_ood, make_scenes
from skneg.metrics import auroc, fpr_at_tpr

logging.basicConfig(level=logging.INFO, format="%(message)s")
say = logging.getLogger("demo").info

# Every third shape is known; the next is near OOD; the last waits for the open-vocabulary part.
KNOWN, NEAR, LATER = SHAPE_NAMES[0:36:3], SHAPE_NAMES[1:36:3], SHAPE_NAMES[2:36:3]


def figures(detector, known: np.ndarray, unknown: np.ndarray) -> tuple[float, float]:
    """AUROC and FPR95 in percent."""
    scores = detector.score_samples(known), detector.score_samples(unknown)
    return 100 * auroc(*scores), 100 * fpr_at_tpr(*scores)


def id_accuracy(detector, X: np.ndarray, y: np.ndarray) -> float:
    """Closed-set accuracy in percent."""
    return 100 * float(np.mean(detector.classes_[detector.predict_proba(X).argmax(axis=1)] == y))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo-output"), help="where the picture goes")
    parser.add_argument("--seeds", type=int, default=1, help="how many to take the mean of")
    args = parser.parse_args()

    say(f"Known:    {', '.join(KNOWN)}")
    say(f"Near OOD: {', '.join(NEAR)}")
    say("Far OOD:  textures, noise, photographs\n")
    encoder = CLIPImageEncoder(model="skneg-tiny", verbose=True)
    X_train, y_train = make_scenes(16 * len(KNOWN), shapes=KNOWN, random_state=0)
    X_test, y_test = make_scenes(600, shapes=KNOWN, random_state=1)
    X_later, y_later = make_scenes(600, shapes=LATER, random_state=2)
    train, test, later = (encoder.transform(X) for X in (X_train, X_test, X_later))
    X_near, X_far = make_scenes(600, shapes=NEAR, random_state=3)[0], make_far_ood(600, random_state=4)
    near, far = encoder.transform(X_near), encoder.transform(X_far)

    def learned_by(kind):
        seeds = range(args.seeds)
        made = [kind(model="skneg-tiny", random_state=seed, verbose=seed == 0) for seed in seeds]
        return [detector.fit(train, y_train) for detector in made]

    mcm = [MCMDetector(model="skneg-tiny").fit(train, y_train)]
    learned, printed = learned_by(NegPromptDetector), learned_by(NegPromptDetector.paper)
    groups = {"zero-shot MCM": mcm, "NegPrompt, as printed": printed, "NegPrompt, default": learned}
    say(f"\nIn percent (AUROC: higher is better, FPR95: lower), seeds: {args.seeds}")
    say("New names: twelve other shapes by name alone, no image of them, no training\n")
    say("                       near OOD        far OOD         known     new names, near OOD")
    say("                       AUROC  FPR95    AUROC  FPR95    accuracy  AUROC  FPR95  accuracy")
    for name, group in groups.items():
        row = [(*figures(d, test, near), *figures(d, test, far), id_accuracy(d, test, y_test)) for d in group]
        with warnings.catch_warnings():
            # The threshold is not measured on new classes; what follows compares scores.
            warnings.simplefilter("ignore", CalibrationWarning)
            for detector in group:
                detector.set_vocabulary(LATER)
        new = [(*figures(d, later, near), id_accuracy(d, later, y_later)) for d in group]
        mean = np.hstack([row, new]).mean(axis=0)
        say(
            "{:<21}  {:5.2f}  {:5.1f}    {:5.2f}  {:5.1f}    {:5.1f}     {:5.2f}  {:5.1f}  {:5.1f}".format(
                name, *mean
            )
        )

    detector = learned[0].set_vocabulary(KNOWN)
    rejected = [100 * np.mean(detector.predict(X) == "unknown") for X in (test, near, far)]
    say(
        "\npredict() of the default rejects {:.1f} % of the known images, {:.1f} % of the near OOD ones, "
        "{:.1f} % of the far".format(*rejected)
    )
    say(f"\nHistograms of the scores: {draw(detector, test, near, far, args.out)}")
    some = slice(200)  # the report shows images, and encodes them once more
    ood = {"near OOD": X_near[some], "far OOD": X_far[some]}
    file = report.html(detector, X_test[some], y_test[some], ood=ood, path=args.out / "report.html")
    say(f"A page on what was rejected, and why: {file}")


def draw(detector, test: np.ndarray, near: np.ndarray, far: np.ndarray, folder: Path) -> Path:
    """Save the histograms of the scores; returns the picture's path."""
    import matplotlib

    matplotlib.use("Agg")
    from skneg.plotting import ScoreHistogramDisplay

    ood = {"near OOD": near, "far OOD": far}
    display = ScoreHistogramDisplay.from_estimator(detector, test, ood=ood, bins=40)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "scores.png"
    display.figure_.savefig(path, dpi=150, bbox_inches="tight")
    return path


if __name__ == "__main__":
    main()
