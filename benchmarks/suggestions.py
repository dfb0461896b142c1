"""Are unknown classes found and named? The tables of docs/suggest.md.

    python benchmarks/suggestions.py --data ROOT [--draws 3] [--choose]
    python benchmarks/suggestions.py --cost

On real CLIP embeddings (ROOT/clip-vitb32-features). Known classes are the ID classes of the four hard splits,
with 4 images each; of the OOD classes all 7 images are unknown. `suggest_classes` gets

* held-out: images of unknown classes only, of 10 or 50 classes (of split 2: 43), means over draws;
* rejected: what `NegPromptDetector` rejects of these and of 3 new images of each known class.

With --choose, the unknown are known classes that are hidden: a third of each split's, and of half of each
few-shot set's. What `suggest_classes` does by default was chosen by this table alone; classes that are known
in any split are unknown nowhere in the other one.

Words: the ImageNet and LVIS names with the real tower's embeddings ("names"), or the shipped nouns by a
distilled tower (ROOT/clip-student), counted over the classes whose name is among them ("nouns").
With --cost: seconds and memory of grouping random images with 5,000 words.

A class is found where most images of a group are of it, and named where such a group has its name, or the
plural, among the first 5 words. Few names have a synonym in the lists, and none is counted.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import normalize

from skneg import KNNDetector, MaxLogitDetector, NegPromptDetector, SknegWarning
from skneg.benchmarks._sources import feature_model
from skneg.inspection import suggest_classes
from skneg.inspection._suggest import _plain, _plurals, _unlike

MIN_IMAGES = 3
Bank = tuple[list[str], np.ndarray]


class Case(NamedTuple):
    """Embeddings to group, with class numbers (-1: known after all), and the names of the classes."""

    name: str
    detector: Any
    X: np.ndarray
    y: np.ndarray
    names: dict[int, str] | None


class Features:
    """ImageNet's embeddings, splits and words."""

    def __init__(self, root: Path) -> None:
        folder = root / "clip-vitb32-features"
        with np.load(folder / "imagenet.npz") as arrays:
            self.train, self.test, text = (arrays[k].astype(np.float32) for k in ("train", "test", "text"))
            self.train_y, self.test_y = arrays["train_y"], arrays["test_y"]
            self.names = [_plain(name) for name in arrays["class_names"].tolist()]
        with np.load(folder / "word_bank.npz") as arrays:
            more = [_plain(name.split("_(")[0]) for name in arrays["names"].tolist()]
            words = dict(zip(more, arrays["text"].astype(np.float32), strict=True))
        words |= dict(zip(self.names, text, strict=True))
        self.words: Bank = list(words), np.stack(list(words.values()))
        splits = json.loads((root / "splits_wnids.json").read_text())
        splits = {name: splits[name] for name in ("split1", "split2", "split3", "split4")}
        number = {w: i for i, w in enumerate(sorted([*splits["split4"]["id"], *splits["split4"]["ood"]]))}
        self.known = {name: [number[w] for w in split["id"]] for name, split in splits.items()}
        chosen_by = set().union(*self.known.values())
        self.unknown = {
            name: [number[w] for w in split["ood"] if number[w] not in chosen_by]
            for name, split in splits.items()
        }
        self.fewshot = {
            k: v for k, v in np.load(folder / "fewshot.npz").items() if k.endswith(("train", "y"))
        }

    def images(self, classes: Any) -> tuple[np.ndarray, np.ndarray]:
        """All images of some classes."""
        X, y = np.concatenate([self.train, self.test]), np.concatenate([self.train_y, self.test_y])
        return X[np.isin(y, classes)], y[np.isin(y, classes)]

    def fit(self, detector: Any, classes: Any) -> Any:
        """On the 4 training images of each class."""
        rows = np.isin(self.train_y, classes)
        names = {c: self.names[c] for c in classes}
        return detector.set_params(class_names=names).fit(self.train[rows], self.train_y[rows])


def hidden_known(features: Features, model: str, draws: int) -> Iterator[Case]:
    for name, known in features.known.items():
        for seed in range(draws):
            order = np.random.RandomState(seed).permutation(known)
            third = len(order) // 3
            detector = features.fit(MaxLogitDetector(model=model), order[third:])
            names = {c: features.names[c] for c in order[:third]}
            yield Case(f"{name}, hidden", detector, *features.images(order[:third]), names)
    for name in ("oxford_flowers", "dtd", "fgvc"):  # larger groups; names that say nothing
        X, y = features.fewshot[f"{name}_train"].astype(np.float32), features.fewshot[f"{name}_train_y"]
        for seed in range(draws):
            order = np.random.RandomState(seed).permutation(y.max() + 1)[: (y.max() + 1) // 2]
            third = len(order) // 3
            rows, out = np.isin(y, order[third:]), np.isin(y, order[:third])
            names = {c: f"kind {c}" for c in order[third:].tolist()}
            detector = MaxLogitDetector(model=model, class_names=names).fit(X[rows], y[rows])
            yield Case(f"{name}, hidden", detector, X[out], y[out].astype(int), None)


def held_out(features: Features, model: str, draws: int) -> Iterator[Case]:
    for name, known in features.known.items():
        detector = features.fit(NegPromptDetector(model=model, random_state=0), known)
        new = features.test[np.isin(features.test_y, known)]
        unknown = features.unknown[name]
        for size in (10, 50):
            for seed in range(draws):
                classes = np.random.RandomState(seed).permutation(unknown)[:size]
                X, y = features.images(classes)
                names = {c: features.names[c] for c in classes}
                yield Case(f"{name}, {size} classes, held-out", detector, X, y, names)
                both, of = np.concatenate([X, new]), np.concatenate([y, np.full(len(new), -1)])
                rows = detector.decision_function(both) < 0
                yield Case(f"{name}, {size} classes, rejected", detector, both[rows], of[rows], names)


def suggest(case: Case, words: Bank, **parameters: Any) -> Any:
    return suggest_classes(case.detector, case.X, words, 1, min_images=MIN_IMAGES, **parameters)


def groupings(case: Case, words: Bank, choose: bool) -> dict[str, np.ndarray]:
    k = len(np.unique(case.y))
    means = KMeans(min(k, len(case.X)), n_init=1, random_state=0).fit_predict(case.X)
    few = np.bincount(means)[means] < MIN_IMAGES
    found: dict[str, np.ndarray] = {"true classes": case.y, "k-means, true k": np.where(few, -1, means)}
    found["HDBSCAN"] = HDBSCAN(min_cluster_size=MIN_IMAGES, copy=True).fit_predict(case.X)
    for cosine in (0.3, 0.4, 0.5) if choose else ():
        found[f"images, {cosine}"] = suggest(case, words, evidence="images", min_cosine=cosine).groups
    for evidence in ("images", "both", "auto"):
        found[evidence] = suggest(case, words, evidence=evidence).groups
    return found


def best_words(case: Case, means: np.ndarray, words: Bank, kind: str) -> list[list[str]]:
    """The five best words of each mean (g, d) of a group's images."""
    kept = _unlike(words[0], case.detector.class_names_)
    text = words[1][kept]
    scores = normalize(means) @ text.T
    to_known = (text @ case.detector.text_bank_.positive.T).max(axis=1)
    if kind == "contrast":
        known = np.asarray(case.detector.calibration_embeddings_).mean(axis=0)
        scores = (means - known) @ text.T
    elif kind == "far":
        scores -= to_known / 4
    elif kind == "below 0.9":
        scores[:, to_known >= 0.9] = -1
    order = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    return [[words[0][kept[row]] for row in rows] for rows in order]


def rate(case: Case, groups: np.ndarray, words: Bank, kinds: list[str]) -> dict[str, float]:
    """Quality of groups, in %, and of their names: first word right, among the first 5."""
    n_alone = int((groups < 0).sum())
    apart = groups.astype(int)
    apart[groups < 0] = groups.max() + 1 + np.arange(n_alone)
    truth = case.y.astype(int)
    truth[truth < 0] = truth.max() + 1 + np.arange(int((truth < 0).sum()))  # strays are no class
    listed = set(words[0])
    classes = [c for c in case.names or {} if case.names[c] in listed] if case.names else []
    right = {(kind, c): (False, False) for kind in kinds for c in classes}
    major, pure = 0, list[tuple[int, np.ndarray]]()
    for group in np.unique(groups[groups >= 0]):
        rows = np.flatnonzero(groups == group)
        values, counts = np.unique(truth[rows], return_counts=True)
        major += counts.max()
        if values[counts.argmax()] in classes and 2 * counts.max() > len(rows):
            pure.append((int(values[counts.argmax()]), case.X[rows].mean(axis=0)))
    for kind in kinds if pure else ():
        found = best_words(case, np.stack([mean for _, mean in pure]), words, kind)
        for (c, _), five in zip(pure, found, strict=True):
            name = case.names[c]  # type: ignore[index]
            hits = [word == name or word in _plurals(name) for word in five]
            right[kind, c] = right[kind, c][0] or hits[0], right[kind, c][1] or any(hits)
    figures = {"ARI": adjusted_rand_score(truth, apart), "majority": major / len(groups)}
    figures["groups"] = len(np.unique(groups[groups >= 0])) / len(np.unique(case.y[case.y >= 0]))
    for kind in kinds if classes else []:
        first, five = np.mean([right[kind, c] for c in classes], axis=0)
        figures |= {f"{kind} first": first, f"{kind} five": five}
    return figures


def trust(case: Case, words: Bank) -> list[tuple[float, bool]]:
    """Share and whether the first word is right, of each group that has a majority."""
    suggested, told = suggest(case, words), []
    for group, share in enumerate(suggested.share):
        values, counts = np.unique(case.y[suggested.groups == group], return_counts=True)
        name = (case.names or {}).get(int(values[counts.argmax()]), "")
        told.append((float(share), suggested.words[group, 0] in {name, *_plurals(name)}))
    return told


def cost() -> None:
    rng = np.random.RandomState(0)
    centres = rng.normal(size=(120, 512))

    def images(classes: Any, each: int) -> np.ndarray:
        return normalize(
            np.repeat(centres[classes], each, axis=0) + rng.normal(2, 1, (len(classes) * each, 512))
        )

    y = np.repeat([f"class {c}" for c in range(20)], 50)
    detector = KNNDetector().fit(images(range(20), 50), y)
    words = [f"word {w}" for w in range(4800)], images(range(120), 40)
    for each in (10, 100):
        X = images(range(20, 120), each).astype(np.float32)
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        suggest_classes(detector, X, words, evidence="both")
        more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        print(f"{len(X)} images: {time.perf_counter() - start:.1f} s, {more:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--choose", action="store_true", help="on known classes that are hidden")
    parser.add_argument("--cost", action="store_true", help="seconds and memory, on random images")
    options = parser.parse_args()
    if options.cost:
        return cost()
    if options.data is None:
        parser.error("--data ROOT is needed")
    warnings.simplefilter("ignore", SknegWarning)
    features, model = Features(options.data), feature_model(options.data)
    kinds = ["cosine", "contrast"] + (["far", "below 0.9"] if options.choose else [])
    table: dict[tuple[str, str], list[dict[str, float]]] = {}
    shares: dict[str, list[tuple[float, bool]]] = {}
    nouns: Bank | None = None
    for case in (hidden_known if options.choose else held_out)(features, model, options.draws):
        if nouns is None:
            from skneg.words import Words

            nouns = Words().embed(case.detector._backbone(), ["a photo of a {}"])
        setting = case.name.split(", ", 1)[1]
        for how, groups in groupings(case, features.words, options.choose).items():
            row = rate(case, groups, features.words, kinds)
            if how in ("true classes", "auto"):
                groups = groups if how == "true classes" else suggest(case, nouns).groups
                of_nouns = rate(case, groups, nouns, ["cosine"])
                row |= {f"nouns {k}": v for k, v in of_nouns.items() if "cosine" in k}
            for name in (case.name, f"all, {setting}"):
                table.setdefault((name, how), []).append(row)
        if case.names:
            shares.setdefault(case.name.split(", ")[-1], []).extend(trust(case, features.words))
    columns = [
        "ARI",
        "majority",
        *(f"{kind} {n}" for kind in [*kinds, "nouns cosine"] for n in ("first", "five")),
    ]
    print(f"| images | groups by | {' | '.join(columns)} | groups per class |")
    print("|---" * (len(columns) + 3) + "|")
    for (name, how), rows in table.items():
        means = {
            key: np.nanmean([row.get(key, np.nan) for row in rows])
            for key in {key for row in rows for key in row}
        }
        cells = " | ".join(f"{100 * means[key]:.0f}" if key in means else "" for key in columns)
        print(f"| {name} | {how} | {cells} | {means['groups']:.1f} |")
        sys.stdout.flush()
    print("\n| images | share | groups | first word right, % |\n|---|---|---|---|")
    for kind, told in shares.items():
        pairs = np.array(told, dtype=float)
        for low, high in ((0, 1 / 3), (1 / 3, 2 / 3), (2 / 3, 0.9), (0.9, 1.01)):
            part = pairs[(pairs[:, 0] >= low) & (pairs[:, 0] < high), 1]
            print(f"| {kind} | {low:.2f} to {min(high, 1):.2f} | {len(part)} | {100 * part.mean():.0f} |")


if __name__ == "__main__":
    main()
