"""What skneg does, in two minutes, on the model that ships with it: ``make demo``.

A detector learns twelve shapes from 16 images each. Shapes it was never shown are near
out-of-distribution (OOD) images; textures, noise and photographs are far ones.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np

from skneg import CLIPImageEncoder, MCMDetector, NegPromptDetector
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
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()

    say(f"Known:    {', '.join(KNOWN)}")
    say(f"Near OOD: {', '.join(NEAR)}")
    say("Far OOD:  textures, noise, photographs\n")
    encoder = CLIPImageEncoder(model="skneg-tiny", verbose=True)
    X_train, y_train = make_scenes(16 * len(KNOWN), shapes=KNOWN, random_state=0)
    X_test, y_test = make_scenes(600, shapes=KNOWN, random_state=1)
    X_later, y_later = make_scenes(600, shapes=LATER, random_state=2)
    train, test, later = (encoder.transform(X) for X in (X_train, X_test, X_later))
    near = encoder.transform(make_scenes(600, shapes=NEAR, random_state=3)[0])
    far = encoder.transform(make_far_ood(600, random_state=4))

    def detectors(kind, **parameters):
        return [
            kind(model="skneg-tiny", random_state=seed, verbose=seed == 0, **parameters)
            for seed in range(args.seeds)
        ]

    mcm = [d.fit(train, y_train) for d in detectors(MCMDetector)]
    learned = [d.fit(train, y_train) for d in detectors(NegPromptDetector)]
    released = [d.fit(train, y_train) for d in detectors(NegPromptDetector, nis_over="all")]
    groups = {"zero-shot MCM": mcm, "NegPrompt": learned, "NegPrompt, NIS=all": released}
    say(f"\nMean of {args.seeds} seeds, in percent (AUROC: higher is better, FPR95: lower)\n")
    say("                      near OOD        far OOD         known")
    say("                      AUROC  FPR95    AUROC  FPR95    accuracy")
    for name, group in groups.items():
        near_row = np.mean([figures(d, test, near) for d in group], axis=0)
        far_row = np.mean([figures(d, test, far) for d in group], axis=0)
        accuracy = np.mean([id_accuracy(d, test, y_test) for d in group])
        say(
            f"{name:<20}  {near_row[0]:5.2f}  {near_row[1]:5.1f}    {far_row[0]:5.2f}  {far_row[1]:5.1f}"
            f"    {accuracy:5.1f}"
        )

    say("\nOpen vocabulary: twelve other shapes by name alone, no image of them, no training")
    for name, group in groups.items():
        for detector in group:
            detector.set_vocabulary(LATER)
        row = np.mean([figures(d, later, near) for d in group], axis=0)
        accuracy = np.mean([id_accuracy(d, later, y_later) for d in group])
        say(f"{name:<20}  {row[0]:5.2f}  {row[1]:5.1f}                     {accuracy:5.1f}")

    say("\nNIS=all is nis_over='all', the loss of the authors' code: better on these drawings, worse on")
    say("real photographs with few classes, so the default is the paper's equation 4.")
    detector = released[0].set_vocabulary(KNOWN)
    say("\nWhat predict() answers (NIS=all, seed 0):")
    for title, X, truth in (("known", test, y_test), ("near OOD", near, None), ("far OOD", far, None)):
        answers = detector.predict(X)
        unknown = 100 * np.mean(answers == "unknown")
        right = "" if truth is None else f", {100 * np.mean(answers == truth):.1f} % their own class"
        say(f"  {title:<9} {unknown:5.1f} % unknown{right}")
    say(f"\nHistograms of the scores: {draw(detector, test, near, far, args.out)}")


def draw(detector, test: np.ndarray, near: np.ndarray, far: np.ndarray, folder: Path) -> Path:
    """Save the histograms of the scores; returns the picture's path."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    groups = {"known": test, "near OOD": near, "far OOD": far}
    scores = {name: detector.score_samples(X) for name, X in groups.items()}
    edges = np.histogram_bin_edges(np.concatenate(list(scores.values())), bins=40)
    # Okabe and Ito's colours, which survive colour-blindness; the outline's style repeats the message.
    styles = zip(("#0072B2", "#E69F00", "#000000"), ("-", "--", ":"), strict=True)
    for (name, values), (color, line) in zip(scores.items(), styles, strict=True):
        axes.hist(values, edges, density=True, alpha=0.25, color=color)
        axes.hist(values, edges, density=True, histtype="step", color=color, ls=line, lw=1.8, label=name)
    axes.axvline(detector.offset_, color="#555555", lw=1)
    axes.annotate(
        "unknown ◂ ▸ known",
        (detector.offset_, 0.99),
        xycoords=("data", "axes fraction"),
        ha="center",
        va="top",
    )
    axes.set(xlabel="NegPrompt score (log, larger = more in-distribution)", ylabel="density")
    axes.legend(loc="upper left", frameon=False)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "scores.png"
    figure.savefig(path, dpi=150)
    return path


if __name__ == "__main__":
    main()
