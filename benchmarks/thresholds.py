"""How many new known images the cross-fitted threshold rejects: the second table of docs/evidence.md.

    python benchmarks/thresholds.py --data ROOT [--draws 20]

Draws training images of each class again and again, from ROOT/photos (encoded by ROOT/clip-photo) and from
the flowers of ROOT/clip-vitb32-features/fewshot.npz, and fits the joint score behind fixed, hand-written
prompts: a draw takes a second. Prints mean and standard deviation of the share of other known images that is
rejected at contamination 0.05.
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

    def say(Z: np.ndarray, struck_out: Any = None) -> tuple[np.ndarray, np.ndarray]:
        logits, others = (Z @ side.T / tower.temperature for side in (positive, kept))
        seen = logits.astype(np.float64)
        if struck_out is not None:
            seen[np.arange(len(Z)), struck_out] = -np.inf
        return logits.astype(np.float64), logsumexp(seen, axis=1) - logsumexp(others, axis=1)

    return say


def rejected(say: Callable[..., Any], X: np.ndarray, y: np.ndarray, new: np.ndarray, seed: int) -> float:
    names = [str(c) for c in range(y.max() + 1)]
    joint, *_, honest = JointScore.fit(
        X, y, names, np.random.RandomState(seed), lambda rows, *struck_out: say(X[rows], *struck_out)
    )
    scores = joint.score(joint.parts(*say(new), joint.images(new)))
    return float((scores < conformal_offset(honest[:, 0], 0.05)).mean())


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
    print("| set | images a class | new known images rejected, % |\n|---|---|---|")
    for name, (X, y), other, say, sizes in sets:
        for size in sizes:
            shares = []
            for seed in range(options.draws):
                rng, rows = np.random.RandomState(seed), []
                for c in range(y.max() + 1):
                    of_class = rng.permutation(np.flatnonzero(y == c))
                    rows += of_class[: size if isinstance(size, int) else rng.choice(size)].tolist()
                new = other[0] if other is not None else np.delete(X, rows, axis=0)
                shares.append(100 * rejected(say, X[rows], y[rows], new, seed))
            told = size if isinstance(size, int) else "1 to 20"
            print(f"| {name} | {told} | {np.mean(shares):.1f} ± {np.std(shares):.1f} |", flush=True)


if __name__ == "__main__":
    main()
