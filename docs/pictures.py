"""The pictures of the tutorial and of "How it decides": ``make pictures``.

On the model that ships with skneg, without a network. Those of the tutorial are drawn by the tutorial's own
code, which is run as it stands; what a block prints is written below it on the page. Those of "How it
decides" are drawn here, with the images and the detector of the tutorial.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from skneg import CalibrationWarning, NegPromptDetector
from skneg.datasets import make_far_ood, make_scenes

DOCS = Path(__file__).resolve().parent
KNOWN, NEW = ["anchor", "bottle", "heart", "key", "star", "umbrella"], ["crown", "fish", "ladder"]


# A block of code, with what it prints.
STEP = re.compile(r"^(?P<block>```python\n(?P<code>.*?)^```\n)(?:\n```text\n.*?^```\n)?", re.S | re.M)


def tutorial(page: Path, out: Path) -> None:
    """Run the code of a page in an empty folder; keep its pictures, and on the page what it prints."""
    names: dict[str, object] = {}

    def run(step: re.Match[str]) -> str:
        with redirect_stdout(StringIO()) as printed:
            exec(step["code"], names)
        text = printed.getvalue()
        return step["block"] + (f"\n```text\n{text}```\n" if text else "")

    with TemporaryDirectory() as folder, chdir(folder):
        page.write_text(STEP.sub(run, page.read_text()))
        for picture in Path().glob("*.png"):
            keep(picture, out / picture.name)


def keep(picture: Path, place: Path) -> None:
    """Store a picture with 256 colours, in a third of the bytes."""
    place.parent.mkdir(parents=True, exist_ok=True)
    colours = Image.open(picture).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    colours.save(place, optimize=True)


def two_evidences(detector: NegPromptDetector, known: np.ndarray, others: np.ndarray) -> Figure:
    """What names and images say of known, of near and of far images."""
    figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    sets = {"known classes": known, "other shapes": others, "no shape": make_far_ood(120, random_state=3)}
    for (name, images), marker in zip(sets.items(), "o^s", strict=True):
        why = detector.explain(images)
        ax.scatter(why.text_evidence, why.image_evidence, s=16, marker=marker, alpha=0.8, label=name)
    ax.set(xlabel="what the names say (right: known)", ylabel="what the images say (up: known)")
    ax.legend()
    return figure


def clarity(detector: NegPromptDetector, known: np.ndarray, others: np.ndarray) -> Figure:
    """The class posterior of a clear image, and that of the least clear one."""
    figure, axes = plt.subplots(1, 4, figsize=(8, 2), width_ratios=[1, 1.1, 1, 1.1], layout="constrained")
    clear = known[detector.explain(known).clarity.argmax()]
    unclear = others[detector.explain(others).nearest_posterior.argmin()]
    for (left, right), image, title in zip(
        axes.reshape(2, 2), (clear, unclear), ("clear", "not clear"), strict=True
    ):
        left.imshow(image)
        left.axis("off")
        left.set_title(title)
        right.barh(detector.classes_, detector.predict_proba([image])[0])
        right.invert_yaxis()
        right.set(xlim=(0, 1), xticks=[0, 0.5, 1])
    return figure


def threshold(detector: NegPromptDetector, known: np.ndarray, others: np.ndarray) -> Figure:
    """The scores that set the threshold, and the p-values of two images."""
    figure, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    scores = detector.calibration_scores_
    edges = np.linspace(scores.min(), scores.max(), 31)
    edges += detector.offset_ - edges[np.searchsorted(edges, detector.offset_)]  # one edge at the threshold
    for part, label in (
        (scores[scores >= detector.offset_], "95 %: accepted"),
        (scores[scores < detector.offset_], "5 %: rejected"),
    ):
        ax.hist(part, bins=[*edges, scores.max()], label=label)
    ax.axvline(detector.offset_, color="black", linewidth=1)
    ax.set_ylim(top=1.35 * ax.get_ylim()[1])
    height = ax.get_ylim()[1]
    ordinary = known[np.argsort(detector.score_samples(known))[len(known) // 2]]
    nearest = others[detector.score_samples(others).argmax()]
    for image, name in ((ordinary, "a known class"), (nearest, "another shape")):
        score, p = detector.score_samples([image])[0], detector.p_values([image])[0]
        ax.annotate(
            f"{name}\np-value {p:.2f}",
            (score, 0),
            (score, 0.8 * height),
            ha="center",
            arrowprops={"arrowstyle": "->"},
        )
    ax.set(xlabel="score of the training images, each without itself", ylabel="images")
    ax.legend(loc="center left")
    return figure


def new_names(detector: NegPromptDetector, _: np.ndarray, others: np.ndarray) -> Figure:
    """Distances to the threshold of crowns, fish and ladders, before and after they have names."""
    figure, axes = plt.subplots(2, 1, figsize=(6.4, 3.6), sharex=True, layout="constrained")
    before = detector.decision_function(others)
    with warnings.catch_warnings():
        # Nothing was measured on classes without images: the page says so.
        warnings.simplefilter("ignore", CalibrationWarning)
        after = detector.set_vocabulary([*KNOWN, *NEW]).decision_function(others)
    bins = np.linspace(min(before.min(), after.min()), max(before.max(), after.max()), 41)
    for ax, values, title in zip(axes, (before, after), ("six names", "nine names"), strict=True):
        ax.hist(values, bins=bins)
        ax.axvline(0, color="black", linewidth=1)
        ax.set(title=f"{title}: {(values >= 0).mean():.0%} accepted", ylabel="images")
    axes[1].set_xlabel("decision_function of crowns, fish and ladders (right of 0: known)")
    return figure


# By the name of the picture; the last one gives the detector new names.
DECISIONS = {
    "evidence": two_evidences,
    "clarity": clarity,
    "threshold": threshold,
    "new-names": new_names,
}


def decisions() -> Iterator[tuple[str, Figure]]:
    """The pictures of docs/how-it-decides.md by name."""
    X, y = make_scenes(120, shapes=KNOWN, random_state=0)
    detector = NegPromptDetector(model="skneg-tiny", random_state=0).fit(X, y)
    known, _ = make_scenes(120, shapes=KNOWN, random_state=1)
    others, _ = make_scenes(120, shapes=NEW, random_state=2)
    for name, draw in DECISIONS.items():
        yield name, draw(detector, known, others)


def main() -> None:
    """Draw all of them."""
    tutorial(DOCS / "tutorial.md", DOCS / "images" / "tutorial")
    with TemporaryDirectory() as folder:
        for name, figure in decisions():
            picture = Path(folder, f"{name}.png")
            figure.savefig(picture, dpi=100)
            keep(picture, DOCS / "images" / "how-it-decides" / picture.name)


if __name__ == "__main__":
    main()
