"""How many new known images the cross-fitted threshold rejects: two tables of docs/evidence.md.

    python benchmarks/thresholds.py --data ROOT [--draws 20]

Draws training images of each class again and again, from ROOT/photos (encoded by ROOT/clip-photo) and from
the flowers of ROOT/clip-vitb32-features/fewshot.npz, and fits the joint score behind fixed, hand-written
prompts: a draw takes a second. Prints mean and standard deviation of the share of other known images that is
rejected at contamination 0.05. Then the same with images of half of the classes: for new images of the
classes that have images, and of those that have none, these also as they would be scored with the evidence
that the posterior takes for them.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import logsumexp

from skneg import CalibrationWarning, CLIPImageEncoder, Words
from skneg.backbone import load_backbone
from skneg.benchmarks._protocols import find_protocol
from skneg.benchmarks._sources import feature_model, photo_tasks
from skneg.evidence import JointScore
from skneg.threshold import conformal_offset
from skneg.words import embed_names

TEMPLATE = "a photo of a {}"
UNBALANCED = (1, 2, 3, 5, 8, 12, 20)


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
            seen[np.arange(len(Z)), struck_out] = -np.inf
        seen[:, list(unknown)] = -np.inf
        return logits.astype(np.float64), logsumexp(seen, axis=1) - logsumexp(others, axis=1)

    return say


def rejected(say: Callable[..., Any], X: np.ndarray, y: np.ndarray, new: np.ndarray, seed: int) -> float:
    names = [str(c) for c in range(y.max() + 1)]
    joint, _, honest, _ = JointScore.fit(
        X, y, names, np.random.RandomState(seed), lambda rows, *struck_out: say(X[rows], *struck_out)
    )
    scores = joint.score(joint.parts(*say(new), joint.images(new)))
    return float((scores < conformal_offset(honest[:, 0], 0.05)).mean())


def absent(
    say: Callable[..., Any], X: np.ndarray, y: np.ndarray, new: np.ndarray, of_new: np.ndarray, seed: int
) -> list[float]:
    """Shares of new images that are rejected, of classes with images and without: corrected, then not."""
    k = y.max() + 1
    has = np.sort(np.random.RandomState(seed).permutation(k)[: k // 2])
    rows = np.flatnonzero(np.isin(y, has))

    def say_known(own: np.ndarray, struck_out: Any = None) -> tuple[np.ndarray, np.ndarray]:
        without = np.setdiff1d(np.arange(k), has)
        logits, text = say(X[rows[own]], None if struck_out is None else has[struck_out], without)
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
                evidence = np.where(np.isnan(evidence), joint.neutral, evidence)
            return joint.score(joint.parts(*say(Z), evidence))

        rejects = score(new, new) < conformal_offset(score(X[rows][kept], cross_fitted), 0.05)
        shares += [100 * float(rejects[~is_absent].mean()), 100 * float(rejects[is_absent].mean())]
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=20)
    options = parser.parse_args()
    warnings.simplefilter("ignore", CalibrationWarning)
    root = options.data
    photo_model = f"local-dir:{root / 'clip-photo'}"
    task = photo_tasks(find_protocol("photos"), root / "photos")[0]
    photos = CLIPImageEncoder(model=photo_model).transform(task.pool.images()), task.pool.labels
    with np.load(root / "clip-vitb32-features" / "fewshot.npz") as arrays:
        flowers, test = (
            (arrays[f"oxford_flowers_{part}"].astype(np.float32), arrays[f"oxford_flowers_{part}_y"])
            for part in ("train", "test")
        )
        names = arrays["oxford_flowers_names"].tolist()
    sets = (
        ("photos", photos, None, text_of(photo_model, task.class_names), (20, 10, 5, 2, UNBALANCED)),
        ("flowers", flowers, test, text_of(feature_model(root), names), (16, 4, 2, UNBALANCED)),
    )
    halved: dict[str, list[list[float]]] = {"photos": [], "flowers": []}
    print("| set | images a class | new known images rejected, % |\n|---|---|---|")
    for name, (X, y), other, say, sizes in sets:
        for size in sizes:
            shares = []
            for seed in range(options.draws):
                rng, rows = np.random.RandomState(seed), []
                for c in range(y.max() + 1):
                    of_class = rng.permutation(np.flatnonzero(y == c))
                    rows += of_class[: size if isinstance(size, int) else rng.choice(size)].tolist()
                new = other if other is not None else tuple(np.delete(part, rows, axis=0) for part in (X, y))
                if size == sizes[0]:
                    halved[name].append(absent(say, X[rows], y[rows], *new, seed))
                shares.append(100 * rejected(say, X[rows], y[rows], new[0], seed))
            told = size if isinstance(size, int) else "1 to 20"
            print(f"| {name} | {told} | {np.mean(shares):.1f} ± {np.std(shares):.1f} |", flush=True)
    print("\n| set | classes with images | without | uncorrected: with | without |\n|---|---|---|---|---|")
    for name, shares in halved.items():
        told = zip(np.mean(shares, axis=0), np.std(shares, axis=0), strict=True)
        print(f"| {name} |" + "|".join(f" {mean:.1f} ± {spread:.1f} " for mean, spread in told) + "|")


if __name__ == "__main__":
    main()
