"""How many new known images the cross-fitted threshold rejects: the tables of docs/evidence.md.

    python benchmarks/thresholds.py --data ROOT [--draws 20] [--whole] [--sets photos flowers]
    python benchmarks/thresholds.py --data ROOT --sets textiles --textiles FOLDER [--whole]

Draws training images of each class again and again, from ROOT/photos (encoded by ROOT/clip-photo), from the
flowers of ROOT/clip-vitb32-features/fewshot.npz, and from the two known kinds of the textiles (FOLDER as in
`evidence.py`). Fits the joint score behind fixed, hand-written prompts: a draw takes a second. With --whole,
fits `NegPromptDetector` with its defaults: 5 to 10 s a draw, 20 to 40 s on the flowers. Prints mean and
standard deviation of the share of other known images that is rejected at contamination 0.05.

Without --whole also the same with images of half of the classes of photos and flowers: for new images of the
classes that have images, and of those that have none, these also as they would be scored with the evidence
that the posterior takes for them.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from evidence import encoded
from scipy.special import logsumexp

from skneg import CLIPImageEncoder, NegPromptDetector, SknegWarning, Words
from skneg.backbone import load_backbone
from skneg.benchmarks._protocols import find_protocol
from skneg.benchmarks._sources import feature_model, photo_tasks
from skneg.evidence import JointScore
from skneg.threshold import conformal_offset
from skneg.words import embed_names

TEMPLATE = "a photo of a {}"
UNBALANCED = (1, 2, 3, 5, 8, 12, 20)


class Known(NamedTuple):
    """Embeddings of known classes; without test images those that a draw leaves are new."""

    model: str
    names: list[str]
    X: np.ndarray
    y: np.ndarray
    test: tuple[np.ndarray, np.ndarray] | None
    sizes: tuple[Any, ...]


def photos(options: argparse.Namespace) -> Known:
    model = f"local-dir:{options.data / 'clip-photo'}"
    task = photo_tasks(find_protocol("photos"), options.data / "photos")[0]
    X = CLIPImageEncoder(model=model).transform(task.pool.images())
    return Known(model, task.class_names, X, task.pool.labels, None, (20, 10, 5, 2, UNBALANCED))


def flowers(options: argparse.Namespace) -> Known:
    with np.load(options.data / "clip-vitb32-features" / "fewshot.npz") as arrays:
        train, test = (
            (arrays[f"oxford_flowers_{part}"].astype(np.float32), arrays[f"oxford_flowers_{part}_y"])
            for part in ("train", "test")
        )
        names = arrays["oxford_flowers_names"].tolist()
    return Known(feature_model(options.data), names, *train, test, (16, 4, 2, UNBALANCED))


def textiles(options: argparse.Namespace) -> Known:
    model = f"local-dir:{options.data / 'clip-photo'}"
    X, kinds, _ = encoded(model, options.textiles)
    names, rows = ["local", "nominal"], kinds != "global"
    return Known(model, names, X[rows], np.searchsorted(names, kinds[rows]), None, (50, 20))


def draw(known: Known, size: Any, seed: int) -> tuple[np.ndarray, ...]:
    """Training images with labels, new images with labels."""
    rng, rows = np.random.RandomState(seed), []
    for c in range(len(known.names)):
        of_class = rng.permutation(np.flatnonzero(known.y == c))
        rows += of_class[: size if isinstance(size, int) else rng.choice(size)].tolist()
    X, y = known.X, known.y
    new = known.test or tuple(np.delete(part, rows, axis=0) for part in (X, y))
    return X[rows], y[rows], *new


def text_of(model: str, names: Sequence[str]) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """From embeddings to text logits and the log odds of the names against words."""
    backbone = load_backbone(model)
    tower, settings = backbone.text_tower, Words()
    positive = embed_names(tower, names, [TEMPLATE])
    words, embeddings = settings.embed(backbone, [TEMPLATE])
    kept = embeddings[settings.choose(words, embeddings, positive, names)]

    def say(Z: np.ndarray, struck_out: Any = None, unknown: Any = ()) -> tuple[np.ndarray, np.ndarray]:
        logits, others = (Z @ side.T / tower.temperature for side in (positive, kept))
        seen = logits.astype(np.float64)
        if struck_out is not None:
            seen[struck_out] = -np.inf
        seen[:, list(unknown)] = -np.inf
        return logits.astype(np.float64), logsumexp(seen, axis=1) - logsumexp(others, axis=1)

    return say


def rejected(say: Callable[..., Any], X: np.ndarray, y: np.ndarray, new: np.ndarray, seed: int) -> float:
    names = [str(c) for c in range(y.max() + 1)]
    joint, _, honest, _ = JointScore.fit(
        X, y, names, np.random.RandomState(seed), lambda rows, *struck_out: say(X[rows], *struck_out)
    )
    scores = joint.score(joint.parts(*say(new), joint.say(new)))
    return float((scores < conformal_offset(honest[:, 0], 0.05)).mean())


def rejected_by_whole(known: Known, X: np.ndarray, y: np.ndarray, new: np.ndarray, seed: int) -> float:
    detector = NegPromptDetector(model=known.model, class_names=known.names, random_state=seed).fit(X, y)
    return float((detector.score_samples(new) < detector.offset_).mean())


def absent(
    say: Callable[..., Any], X: np.ndarray, y: np.ndarray, new: np.ndarray, of_new: np.ndarray, seed: int
) -> list[float]:
    """Shares of new images that are rejected, of classes with images and without: corrected, then not."""
    k = y.max() + 1
    has = np.sort(np.random.RandomState(seed).permutation(k)[: k // 2])
    rows = np.flatnonzero(np.isin(y, has))

    def say_known(own: np.ndarray, struck_out: Any = None) -> tuple[np.ndarray, np.ndarray]:
        gone = np.zeros((len(own), k), dtype=bool)
        gone[:, has] = False if struck_out is None else struck_out
        logits, text = say(X[rows[own]], gone, np.setdiff1d(np.arange(k), has))
        return logits[:, has], text

    joint, kept, _, cross_fitted = JointScore.fit(
        X[rows], np.searchsorted(has, y[rows]), list(map(str, has)), np.random.RandomState(seed), say_known
    )
    is_absent, every = ~np.isin(of_new, has), list(map(str, range(k)))
    shares = []
    for correct in (True, False):

        def score(Z: np.ndarray, images: Any, correct: bool = correct) -> np.ndarray:
            evidence = joint.evidence(images, every)
            if not correct:
                evidence[..., 0] = np.where(np.isnan(evidence[..., 0]), joint.neutral, evidence[..., 0])
            return joint.score(joint.parts(*say(Z), evidence))

        rejects = score(new, new) < conformal_offset(score(X[rows][kept], cross_fitted), 0.05)
        shares += [100 * float(rejects[~is_absent].mean()), 100 * float(rejects[is_absent].mean())]
    return shares


def main() -> None:
    sets = {"photos": photos, "flowers": flowers, "textiles": textiles}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--whole", action="store_true", help="the whole default detector")
    parser.add_argument("--sets", nargs="+", default=["photos", "flowers"], choices=list(sets))
    parser.add_argument("--textiles", type=Path, metavar="FOLDER", help="images of set textiles")
    options = parser.parse_args()
    if "textiles" in options.sets and options.textiles is None:
        parser.error("--sets textiles needs --textiles FOLDER")
    warnings.simplefilter("ignore", SknegWarning)
    halved: dict[str, list[list[float]]] = {}
    print("| set | images a class | new known images rejected, % |\n|---|---|---|")
    for name in options.sets:
        known = sets[name](options)
        say = None if options.whole else text_of(known.model, known.names)
        for size in known.sizes:
            shares = []
            for seed in range(options.draws):
                X, y, new, of_new = draw(known, size, seed)
                if say is None:
                    shares.append(100 * rejected_by_whole(known, X, y, new, seed))
                    continue
                shares.append(100 * rejected(say, X, y, new, seed))
                if name != "textiles" and size == known.sizes[0]:
                    halved.setdefault(name, []).append(absent(say, X, y, new, of_new, seed))
            told = size if isinstance(size, int) else "1 to 20"
            print(f"| {name} | {told} | {np.mean(shares):.1f} ± {np.std(shares):.1f} |", flush=True)
    if halved:
        print("\n| set | classes with images | without | uncorrected: with | without |")
        print("|---" * 5 + "|")
    for name, rows in halved.items():
        told = zip(np.mean(rows, axis=0), np.std(rows, axis=0), strict=True)
        print(f"| {name} |" + "|".join(f" {mean:.1f} ± {spread:.1f} " for mean, spread in told) + "|")


if __name__ == "__main__":
    main()
