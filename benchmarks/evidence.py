"""What images add to words: the table of docs/evidence.md.

    python benchmarks/evidence.py --data ROOT [--seeds 3] [--tasks photos halves splits]
    python benchmarks/evidence.py --data ROOT --tasks textiles --textiles FOLDER
    python benchmarks/evidence.py --data ROOT --left-out

Fits `NegPromptDetector` with text, with images and with both, and the nearest training image beside them:

* photos: photographs (ROOT/photos, encoded by ROOT/clip-photo); with few of them, also with crops of each;
* halves: halves of the classes of few-shot sets (ROOT/clip-vitb32-features/fewshot.npz);
* splits: the splits of the `real-features` protocol;
* textiles: simulated images of a fabric, with and without defects, encoded by ROOT/clip-photo. FOLDER holds
  nominal/, local/ and global/: conformal_clip_data/data/textile_images/simulated of the package
  conformal-clip-data on PyPI. Where one class is known, the detectors are those that take one.

With --left-out, half of the classes of each task play unknown, and only training images are used: by this the
default is chosen. Tasks with less than three images of a class are left out.

Prints, as Markdown, AUROC / FPR95 for each set of unknown images, closed-set accuracy, and the share of new
known images that is rejected at contamination 0.05: means over the seeds. Where one class is known, also the
share that is rejected once a tenth of the new known images has set the threshold by `calibrate`.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from skneg import (
    CLIPImageEncoder,
    KNNDetector,
    MahalanobisDetector,
    NegPromptDetector,
    SknegWarning,
    WordsDetector,
)
from skneg.benchmarks._protocols import find_protocol
from skneg.benchmarks._sources import feature_model, feature_tasks, photo_tasks
from skneg.datasets import load_image_folder, sample_shots
from skneg.images import augmented_views
from skneg.metrics import auroc, fpr_at_tpr


class Case(NamedTuple):
    """Embeddings of known classes to train and to test on, and of unknown images."""

    name: str
    model: str
    names: list[str]
    train: tuple[Any, ...]  # what `fit` takes
    test: tuple[np.ndarray, np.ndarray]
    unknown: dict[str, np.ndarray]


def photos(root: Path, seed: int) -> Iterator[Case]:
    model = f"local-dir:{root / 'clip-photo'}"
    encoder = CLIPImageEncoder(model=model)
    task = photo_tasks(find_protocol("photos"), root / "photos")[0]
    every = dict(zip(task.pool.keys, encoder.transform(task.pool.images()), strict=True))
    unknown = {name: encoder.transform(images.images()) for name, images in task.ood.items()}
    for shots in (20, 10, 5, 2, 1):
        drawn = task.draw(shots, seed)
        parts = [(np.stack([every[key] for key in part.keys]), part.labels) for part in drawn]
        yield Case(f"photos, {shots} a class", model, task.class_names, *parts, unknown)
        if shots <= 5:
            views, labels, groups = augmented_views(drawn[0].images(), drawn[0].labels, random_state=seed)
            of_views = encoder.transform(views), labels, None, groups
            yield Case(
                f"photos, {shots} a class in 5 views", model, task.class_names, of_views, parts[1], unknown
            )


def halves(root: Path, seed: int) -> Iterator[Case]:
    with np.load(root / "clip-vitb32-features" / "fewshot.npz") as arrays:
        held = {name: arrays[name] for name in arrays.files}
    for key, far in (("oxford_flowers", "dtd"), ("dtd", "oxford_flowers"), ("fgvc", "dtd")):
        names = held[f"{key}_names"].tolist()
        known = np.sort(np.random.RandomState(seed).permutation(len(names))[: len(names) // 2])
        parts = []
        for part in ("train", "test"):
            X, y = held[f"{key}_{part}"].astype(np.float32), held[f"{key}_{part}_y"]
            ours = np.isin(y, known)
            parts.append((X[ours], np.searchsorted(known, y[ours])))
        strange = X[~ours]
        unknown = {"near": strange, "far": held[f"{far}_test"].astype(np.float32)}
        yield Case(f"{key}, half", feature_model(root), [names[i] for i in known], *parts, unknown)


def splits(root: Path, seed: int) -> Iterator[Case]:
    for task in feature_tasks(find_protocol("real-features"), root):
        if not task.experiment.open_vocabulary and task.experiment.split:
            parts = [(part.embeddings, part.labels) for part in task.draw(4, seed)]
            unknown = {name: images.embeddings for name, images in task.ood.items()}
            yield Case(task.experiment.name, feature_model(root), task.class_names, *parts, unknown)


@cache
def encoded(model: str, folder: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    paths, kinds = load_image_folder(folder)
    keys = [path.relative_to(folder).as_posix() for path in paths]
    return CLIPImageEncoder(model=model).transform(paths), kinds, keys


def textiles(folder: Path, root: Path, seed: int) -> Iterator[Case]:
    model = f"local-dir:{root / 'clip-photo'}"
    X, kinds, keys = encoded(model, folder)
    defects = {"local": X[kinds == "local"], "global": X[kinds == "global"]}
    two, one = {"global": defects["global"]}, {**defects, "all defects": X[kinds != "nominal"]}
    two_known, one_known = ["local", "nominal"], ["nominal"]
    # "nominal" names nothing that an image shows; for `WordsDetector` the one class is called by its goods.
    for known, names, unknown in ((two_known, two_known, two), (one_known, ["textile"], one)):
        rows = np.flatnonzero(np.isin(kinds, known))
        for shots in (50, 20):
            kept = [keys[row] for row in rows]
            train = rows[sample_shots(kinds[rows], shots, keys=kept, random_state=seed)]
            parts = [
                (X[part], np.searchsorted(known, kinds[part])) for part in (train, np.setdiff1d(rows, train))
            ]
            name = f"textiles, {' and '.join(known)}, {shots} a class"
            yield Case(name, model, names, *parts, unknown)


def of_training_images(case: Case) -> Case:
    """Half of the classes play unknown; up to eight images of each other class train, the rest are known."""
    X, y = np.asarray(case.train[0]), np.asarray(case.train[1])
    rng = np.random.RandomState(0)
    kept = np.sort(rng.permutation(len(case.names))[: len(case.names) // 2])
    parts: tuple[list[int], list[int]] = [], []
    for number in kept:
        rows = rng.permutation(np.flatnonzero(y == number)).tolist()
        n = min(8, len(rows) - 1)
        parts[0].extend(rows[:n])
        parts[1].extend(rows[n:])
    train, test = ((X[rows], np.searchsorted(kept, y[rows])) for rows in parts)
    names = [case.names[number] for number in kept]
    return Case(case.name, case.model, names, train, test, {"left out": X[~np.isin(y, kept)]})


def detectors(case: Case, seed: int) -> dict[str, Any]:
    joint = partial(NegPromptDetector, model=case.model, class_names=case.names, random_state=seed)
    nearest = KNNDetector(n_neighbors=1, random_state=seed)
    if len(case.names) > 1:
        kinds = {kind: joint(evidence=kind) for kind in ("text", "images", "both")}
        return {**kinds, "nearest image": nearest}
    return {
        "name (`WordsDetector`)": WordsDetector(model=case.model, class_names=case.names),
        "images": joint(evidence="images"),
        "nearest image": nearest,
        "10th nearest (`KNNDetector`)": KNNDetector(random_state=seed),
        "`MahalanobisDetector`": MahalanobisDetector(random_state=seed),
    }


def measure(detector: Any, case: Case, keep: Path | None = None) -> dict[str, float]:
    """Figures of a detector on a case; its scores go to the file `keep`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SknegWarning)
        detector.fit(*case.train)
    scores = detector.score_samples(case.test[0])
    unknown = {name: detector.score_samples(images) for name, images in case.unknown.items()}
    if keep is not None:
        np.savez_compressed(keep, known=scores, **unknown)
    figures = {}
    for name, strange in unknown.items():
        figures[name] = 100 * auroc(scores, strange)
        figures[f"{name} FPR95"] = 100 * fpr_at_tpr(scores, strange)
    right = detector.predict_proba(case.test[0]).argmax(axis=1) == case.test[1]
    figures |= {"accuracy": 100 * right.mean(), "rejected": 100 * (scores < detector.offset_).mean()}
    if len(case.names) == 1:
        tenth = np.arange(len(scores)) % 10 == 0
        detector.calibrate(case.test[0][tenth])
        figures["calibrated"] = 100 * (scores[~tenth] < detector.offset_).mean()
    return figures


def main() -> None:
    tasks: dict[str, Any] = {"photos": photos, "halves": halves, "splits": splits}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tasks", nargs="+", default=list(tasks), choices=[*tasks, "textiles"])
    parser.add_argument("--textiles", type=Path, metavar="FOLDER", help="images of task textiles")
    parser.add_argument("--left-out", action="store_true", help="training images alone")
    options = parser.parse_args()
    if "textiles" in options.tasks:
        if options.textiles is None:
            parser.error("--tasks textiles needs --textiles FOLDER")
        for kind in ("nominal", "local", "global"):
            if not (options.textiles / kind).is_dir():
                parser.error(f"--textiles: {str(options.textiles)!r} has no folder {kind!r}")
        tasks["textiles"] = partial(textiles, options.textiles)
    table: dict[tuple[str, str], list[dict[str, float]]] = {}
    for task in options.tasks:
        for seed in range(options.seeds):
            for case in tasks[task](options.data, seed):
                if options.left_out:
                    if "views" in case.name or min(np.bincount(case.train[1])) < 3:
                        continue  # too few to train with and to be known
                    case = of_training_images(case)
                for kind, detector in detectors(case, seed).items():
                    table.setdefault((case.name, kind), []).append(measure(detector, case))
    print("| task | evidence | unknown: AUROC / FPR95 | accuracy | known images rejected |")
    print("|---|---|---|---|---|")
    for (task, kind), rows in table.items():
        mean = {name: np.mean([row[name] for row in rows]) for name in rows[0]}
        sets = [name for name in mean if f"{name} FPR95" in mean]
        unknown = ", ".join(f"{name} {mean[name]:.1f} / {mean[f'{name} FPR95']:.0f}" for name in sets)
        rejected = ", ".join(f"{mean[name]:.1f}" for name in ("rejected", "calibrated") if name in mean)
        print(f"| {task} | {kind} | {unknown} | {mean['accuracy']:.1f} | {rejected} |")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
