"""Are wrong labels found? The tables of docs/labels.md.

    python benchmarks/label_errors.py --data ROOT [--seeds 3] [--sets dtd ...]
    python benchmarks/label_errors.py --data ROOT --names | --outliers | --copies

On real CLIP embeddings (ROOT/clip-vitb32-features) and photographs (ROOT/photos, by ROOT/clip-photo), 5 or
10 % of the labels are changed: by any other ("any"), or by that of the class whose mean is nearest ("alike").
`suspicious_labels` is compared with cleanlab, where that is installed, on posteriors out of fold by the same
detector, and by the same logistic regression (C = 10), which is cleanlab's usual way:

* AP: average precision of all images, the most doubtful first (cleanlab: self-confidence; in brackets its
  normalized margin);
* listed: how many are listed by default (cleanlab: `find_label_issues`), the share of them whose label was
  right (promised: 10 %), and the share of wrong labels among them.

What `suspicious_labels` does by default was chosen on flips of seed 100; seeds 0 to 2 are reported.

With --names, the class names judge as well; with --outliers, 3 % of the images are of another data set; with
--copies, what is done to a photograph, and how far that moves it.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.preprocessing import normalize

from skneg import CLIPImageEncoder, NegPromptDetector, SknegWarning
from skneg.datasets import load_image_folder
from skneg.inspection import suspicious_labels
from skneg.inspection._copies import nearest_others
from skneg.model_selection import out_of_fold_scores

try:
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores
except ImportError:  # its columns are left out
    get_label_quality_scores = None
SETS = ("oxford_flowers", "dtd", "fgvc", "split 2", "split 3", "photos")


def data_set(name: str, root: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Embeddings, class numbers from 0 on, and the classes' names."""
    folder = root / "clip-vitb32-features"
    if name == "photos":
        paths, labels = load_image_folder(root / "photos" / "id")
        X = CLIPImageEncoder(model=f"local-dir:{root / 'clip-photo'}").transform(paths)
        names, y = np.unique(labels, return_inverse=True)
        return X, y, [label.replace("_", " ") for label in names.tolist()]
    if not name.startswith("split"):
        with np.load(folder / "fewshot.npz") as arrays:
            X, y = arrays[f"{name}_train"].astype(np.float32), arrays[f"{name}_train_y"]
        classes, y = np.unique(y, return_inverse=True)
        return X, y, [f"kind {label}" for label in classes.tolist()]  # the names of the file say nothing
    splits = json.loads((root / "splits_wnids.json").read_text())
    order = sorted([*splits["split4"]["id"], *splits["split4"]["ood"]])
    known = np.flatnonzero(np.isin(order, splits[name.replace(" ", "")]["id"]))
    with np.load(folder / "imagenet.npz") as arrays:
        X = np.concatenate([arrays["train"], arrays["test"]]).astype(np.float32)
        y = np.concatenate([arrays["train_y"], arrays["test_y"]])
        names = arrays["class_names"][known].tolist()
    rows = np.isin(y, known)
    return X[rows], np.searchsorted(known, y[rows]), names


def with_wrong(
    X: np.ndarray, truth: np.ndarray, share: float, kind: str, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Labels of which some are wrong, and which these are."""
    rng, k = np.random.default_rng(seed), truth.max() + 1
    wrong, y = rng.permutation(len(truth))[: round(share * len(truth))], truth.copy()
    if kind == "any":
        y[wrong] = (truth[wrong] + rng.integers(1, k, len(wrong))) % k
    else:
        means = normalize(np.stack([X[truth == c].mean(axis=0) for c in range(k)]))
        cosines = means @ means.T
        np.fill_diagonal(cosines, -1)
        y[wrong] = cosines.argmax(axis=1)[truth[wrong]]
    return y, np.isin(np.arange(len(y)), wrong)


def figures(doubt: np.ndarray, listed: np.ndarray, is_wrong: np.ndarray) -> list[float]:
    """Average precision, how many are listed, the share of right ones among them, of wrong ones found."""
    precision = average_precision_score(is_wrong, doubt) if is_wrong.any() else np.nan
    right = (~is_wrong[listed]).mean() if len(listed) else np.nan
    return [precision, len(listed), right, is_wrong[listed].sum() / max(is_wrong.sum(), 1)]


def by_skneg(X: np.ndarray, y: np.ndarray, is_wrong: np.ndarray, **parameters: Any) -> list[float]:
    found = suspicious_labels(X, y, **parameters)
    return figures(-np.nan_to_num(found.right, nan=1.0), found.row[found.kind == "label"], is_wrong)


def by_cleanlab(posterior: np.ndarray, y: np.ndarray, is_wrong: np.ndarray) -> list[float]:
    numbers = np.unique(y, return_inverse=True)[1]
    quality = get_label_quality_scores(numbers, posterior)
    margin = get_label_quality_scores(numbers, posterior, method="normalized_margin")
    listed = np.flatnonzero(find_label_issues(numbers, posterior, n_jobs=1))
    return [*figures(-quality, listed, is_wrong), figures(-margin, listed, is_wrong)[0]]


def judged(
    X: np.ndarray, y: np.ndarray, is_wrong: np.ndarray, seed: int
) -> Iterator[tuple[str, list[float]]]:
    """Each method with its figures."""
    yield "skneg", by_skneg(X, y, is_wrong, random_state=seed)
    yield "skneg, alike=0.5", by_skneg(X, y, is_wrong, alike=0.5, random_state=seed)
    if get_label_quality_scores is None:
        return
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    of_detector = out_of_fold_scores(
        NegPromptDetector(evidence="images", random_state=seed), X, y, cv=folds, method="predict_proba"
    )
    yield "cleanlab, detector", by_cleanlab(of_detector, y, is_wrong)
    probe = LogisticRegression(C=10, max_iter=1000)
    yield (
        "cleanlab, regression",
        by_cleanlab(cross_val_predict(probe, X, y, cv=folds, method="predict_proba"), y, is_wrong),
    )


def compare(root: Path, sets: list[str], seeds: range) -> None:
    print("| data | wrong | method | AP | (margin) | listed | right among them | wrong ones found |")
    print("|---|---|---|---|---|---|---|---|")
    for name in sets:
        X, truth, _ = data_set(name, root)
        for kind, share in (("any", 0.0), ("any", 0.05), ("any", 0.1), ("alike", 0.05), ("alike", 0.1)):
            rows: dict[str, list[list[float]]] = {}
            for seed in seeds if share else seeds[:1]:
                y, is_wrong = with_wrong(X, truth, share, kind, seed)
                for method, row in judged(X, y, is_wrong, seed):
                    rows.setdefault(method, []).append(row)
            for method, values in rows.items():
                precision, _, right, found, *margin = map(told, zip(*values, strict=True))
                listed = np.mean([value[1] for value in values])
                of = f"| {name} | {share:.0%} {kind} | {method} | {precision} | {''.join(margin)} "
                print(f"{of}| {listed:.0f} | {right} | {found} |", flush=True)


def told(values: Sequence[float]) -> str:
    """The mean in %, of those that there are."""
    there = [value for value in values if not np.isnan(value)]
    return f"{100 * np.mean(there):.1f}" if there else "-"


def with_names(root: Path, seeds: range) -> None:
    """Whether class names help to judge."""
    print("| data | wrong | names judge | AP | listed | right among them | wrong ones found |")
    print("|---|---|---|---|---|---|---|")
    for name, tower in (("split 2", "clip-student"), ("split 3", "clip-student"), ("photos", "clip-photo")):
        X, truth, names = data_set(name, root)
        for kind in ("any", "alike"):
            for evidence in ("images", "both"):
                values = []
                for seed in seeds:
                    y, is_wrong = with_wrong(X, truth, 0.1, kind, seed)
                    detector = NegPromptDetector(
                        model=f"local-dir:{root / tower}", evidence=evidence, random_state=seed
                    )
                    named = dict(enumerate(names)) if evidence == "both" else None
                    values.append(
                        by_skneg(X, y, is_wrong, detector=detector, class_names=named, random_state=seed)
                    )
                precision, _, right, found = map(told, zip(*values, strict=True))
                judge = "yes" if evidence == "both" else "no"
                listed = np.mean([value[1] for value in values])
                print(
                    f"| {name} | 10% {kind} | {judge} | {precision} | {listed:.0f} | {right} | {found} |",
                    flush=True,
                )


def with_outliers(root: Path, seeds: range) -> None:
    """Whether images of another data set, with labels at random, are found as outliers."""
    print("| data | AP by p-value | listed | of them of another set | found | listed with none |")
    print("|---|---|---|---|---|---|")
    for name, other in (
        ("oxford_flowers", "dtd"),
        ("dtd", "oxford_flowers"),
        ("fgvc", "dtd"),
        ("split 3", "dtd"),
    ):
        (X, y, _), strange, values = data_set(name, root), data_set(other, root)[0], []
        for seed in seeds:
            rng, mixed = np.random.default_rng(seed), X.copy()
            there = rng.permutation(len(y))[: round(0.03 * len(y))]
            mixed[there] = strange[rng.permutation(len(strange))[: len(there)]]
            found = suspicious_labels(mixed, y, random_state=seed)
            listed, is_strange = found.row[found.kind == "outlier"], np.isin(np.arange(len(y)), there)
            values.append(figures(-np.nan_to_num(found.p_value, nan=1.0), listed, is_strange))
        clean = suspicious_labels(X, y)
        precision, listed, share, caught = (np.nanmean(column) for column in zip(*values, strict=True))
        share_clean = (clean.kind == "outlier").sum() / len(y)
        print(
            f"| {name} | {100 * precision:.1f} | {listed:.0f} | {100 - 100 * share:.1f} | {100 * caught:.1f} "
            f"| {share_clean:.1%} |",
            flush=True,
        )


def copies(root: Path) -> None:
    """How far a changed photograph lies from itself, beside the distance of photographs to their nearest."""
    paths, _ = load_image_folder(root / "photos" / "id")
    encode = CLIPImageEncoder(model=f"local-dir:{root / 'clip-photo'}").transform
    photos = [Image.open(path).convert("RGB") for path in paths]
    Z = encode(photos)
    near = nearest_others(Z, np.zeros(len(Z)))
    distance = 1 - near.cosine.max(axis=1)
    usual = float(np.median(distance))
    print(
        f"nearest other photograph, in medians of it: {np.sort(distance / usual)[:6].round(2).tolist()} ..."
    )

    def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
        image.save(file := BytesIO(), "JPEG", quality=quality)
        return Image.open(file).convert("RGB")

    changes = {
        "JPEG of quality 75": lambda image: as_jpeg(image, 75),
        "JPEG of quality 40": lambda image: as_jpeg(image, 40),
        "15 % brighter": lambda image: image.point(lambda value: min(255, round(1.15 * value))),
        "2.5 % cut off each side": lambda image: ImageOps.crop(image, round(0.025 * min(image.size))),
        "7.5 % cut off each side": lambda image: ImageOps.crop(image, round(0.075 * min(image.size))),
        "half as large": lambda image: ImageOps.scale(image, 0.5),
        "mirrored": ImageOps.mirror,
    }
    print("| change | distance, in medians of that to the nearest other: median | 95 % | copies found |")
    print("|---|---|---|---|")
    for title, change in changes.items():
        moved = 1 - np.einsum("nd,nd->n", encode([change(photo) for photo in photos]), Z)
        middle, most = np.quantile(moved / usual, [0.5, 0.95])
        print(f"| {title} | {middle:.2f} | {most:.2f} | {(moved <= 1 - near.level).mean():.0%} |")
    print("| data | images | pairs of one class | of two classes |\n|---|---|---|---|")
    for name in SETS:
        X, y, _ = data_set(name, root)
        found = suspicious_labels(X, y, copies="all")
        pairs = found.label[found.kind == "copy"] == found.likely_label[found.kind == "copy"]
        print(f"| {name} | {len(y)} | {pairs.sum()} | {(~pairs).sum()} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first seed; 100 is for choosing")
    parser.add_argument("--sets", nargs="*", default=SETS, choices=SETS)
    parser.add_argument("--names", action="store_true")
    parser.add_argument("--outliers", action="store_true")
    parser.add_argument("--copies", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore", SknegWarning)
    seeds = range(options.first, options.first + options.seeds)
    if options.names:
        with_names(options.data, seeds)
    elif options.outliers:
        with_outliers(options.data, seeds)
    elif options.copies:
        copies(options.data)
    else:
        compare(options.data, options.sets, seeds)


if __name__ == "__main__":
    main()
