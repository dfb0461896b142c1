"""All detectors on the same images: one table.

    python benchmarks/detectors.py [--data FOLDER] [--seeds 1] [--only NAME ...]

Scenes of the shipped model need nothing. The other sets are read from the folder of real data
(``--data`` or the environment variable SKNEG_DATA), and left out where it is absent. Every method uses
the same towers; figures are AUROC / FPR95 in percent (ID positive, first threshold that reaches 95 %),
closed-set accuracy, and seconds of fitting and of scoring 1,000 images, both from embeddings but for
methods that need pixels.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_files

import skneg
from skneg import CLIPImageEncoder
from skneg.datasets import COLORS, SHAPE_NAMES, load_words, make_far_ood, make_scenes
from skneg.errors import BackboneError, SknegError
from skneg.metrics import auroc, fpr_at_tpr

# The real sets' text towers take 16 tokens in all, fewer than CoOp's published contexts need.
SHORT_CONTEXT = {
    name: {"n_ctx": None, "context_init": "a photo of a"} for name in ("CoOpDetector", "LSNDetector")
}


@dataclass
class Images:
    """Images in the representations that detectors take."""

    pixels: Any = None
    embeddings: np.ndarray | None = None
    local: np.ndarray | None = None

    def for_detector(self, needs: str) -> Any:
        """The representation that a detector with these needs takes; None where there is none."""
        if needs == "local features":
            return self.local
        return self.pixels if needs.startswith("pixels") else self.embeddings


@dataclass
class Task:
    """One ID set with its training images, and the OOD sets beside it."""

    name: str
    model: str
    names: list[str]
    train: Images
    train_y: np.ndarray
    test: Images
    test_y: np.ndarray
    ood: dict[str, Images]
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)


def encoded(model: str, pixels: Any) -> Images:
    embeddings = CLIPImageEncoder(model=model).transform(pixels)
    try:
        local = CLIPImageEncoder(model=model, local=True).transform(pixels)
    except BackboneError:  # this tower has none
        local = None
    return Images(pixels, embeddings, local)


def word_captioner(model: str, words: tuple[str, ...], n_words: int = 5):
    """Stands in for a caption model: the words nearest to an image, by CLIP itself."""
    tower = skneg.backbone.load_backbone(model).text_tower
    bank = tower.encode([f"a photo of a {word}" for word in words])

    def candidates(images: list) -> list[list[str]]:
        nearest = (CLIPImageEncoder(model=model).transform(images) @ bank.T).argsort(axis=1)[:, -n_words:]
        return [[words[i] for i in row] for row in nearest]

    return candidates


def scenes_task(folder: Path) -> Task:
    known, near = SHAPE_NAMES[0:36:3], SHAPE_NAMES[1:36:3]
    train, train_y = make_scenes(16 * len(known), shapes=known, random_state=0)
    test, test_y = make_scenes(600, shapes=known, random_state=1)
    pairs, _, captions = make_scenes(2000, return_captions=True, random_state=5)
    no_encoder = folder / "no.safetensors"
    skneg.train_no_encoder(
        pairs, captions.tolist(), model="skneg-tiny", n_epochs=5, random_state=0, out=no_encoder
    )
    return Task(
        "scenes",
        "skneg-tiny",
        sorted(known),
        encoded("skneg-tiny", train),
        train_y,
        encoded("skneg-tiny", test),
        test_y,
        {
            "near": encoded("skneg-tiny", make_scenes(600, shapes=near, random_state=3)[0]),
            "far": encoded("skneg-tiny", make_far_ood(600, random_state=4)),
        },
        {
            "EOEDetector": {"outlier_names": SHAPE_NAMES[2:36:3]},
            "NegLabelDetector": {"words": SHAPE_NAMES, "fraction": 0.5, "n_groups": 1},
            "CSPDetector": {
                "words": SHAPE_NAMES,
                "adjectives": list(COLORS),
                "superclasses": ["thing"],
                "fraction": 0.5,
                "n_groups": 1,
            },
            "CLIPNDetector": {"no_encoder": str(no_encoder)},
            "ZOCDetector": {"candidate_labels": word_captioner("skneg-tiny", SHAPE_NAMES)},
        },
    )


def feature_tasks(data: Path) -> list[Task]:
    with np.load(data / "clip-vitb32-features" / "imagenet.npz") as arrays:
        train, test = (arrays[name].astype(np.float32) for name in ("train", "test"))
        train_y, test_y, names = arrays["train_y"], arrays["test_y"], arrays["class_names"]
    with np.load(data / "clip-vitb32-features" / "word_bank.npz") as arrays:
        # "peeler_(tool_for_fruit_and_vegetables)" is more than the student tower can read.
        words = [str(name).split("_(")[0].replace("_", " ") for name in arrays["names"]]
    with np.load(data / "clip-vitb32-features" / "ood.npz") as arrays:
        dtd = arrays["dtd"].astype(np.float32)
    is_id = test_y < 100
    known = [str(name) for name in names[:100]]
    words = sorted(set(words) - set(known))
    return [
        Task(
            "features",
            f"local-dir:{data / 'clip-student'}",
            known,
            Images(embeddings=train[train_y < 100]),
            train_y[train_y < 100],
            Images(embeddings=test[is_id]),
            test_y[is_id],
            {"split 4": Images(embeddings=test[~is_id]), "dtd": Images(embeddings=dtd)},
            {
                **SHORT_CONTEXT,
                "NegLabelDetector": {"words": words},
                "CSPDetector": {"words": words},
                "EOEDetector": {"outlier_names": words[::16]},
            },
        )
    ]


def photo_task(data: Path) -> Task:
    model = f"local-dir:{data / 'clip-photo'}"
    files = load_files(data / "photos" / "id", load_content=False, shuffle=False)
    names = [name.replace("_", " ") for name in files.target_names]
    paths, y = np.array(files.filenames), np.array(names)[files.target]
    rng = np.random.default_rng(0)
    train = np.concatenate([rng.permutation(np.flatnonzero(y == name))[:20] for name in names])
    test = np.setdiff1d(np.arange(len(y)), train)
    outside = {
        name: encoded(model, sorted((data / "photos" / f"ood_{name}").glob("*.jpg")))
        for name in ("near", "far")
    }
    words = tuple(word for word in load_words("nouns") if word not in names)
    return Task(
        "photos",
        model,
        names,
        encoded(model, paths[train].tolist()),
        y[train],
        encoded(model, paths[test].tolist()),
        y[test],
        outside,
        {
            **SHORT_CONTEXT,
            "EOEDetector": {"outlier_names": words[::40]},
            "ZOCDetector": {"candidate_labels": word_captioner(model, words[::4])},
        },
    )


def run(info: skneg.detectors.DetectorInfo, task: Task, seeds: int) -> str:
    """One row of the table, or why there is none."""
    train = task.train.for_detector(info.needs)
    if train is None:
        return f"| {info.name} | {task.name} | needs {info.needs} |"
    rows = []
    for seed in range(seeds):
        parameters = {"model": task.model, "random_state": seed, **task.parameters.get(info.name, {})}
        detector = getattr(skneg, info.name)(**parameters)
        start = time.perf_counter()
        try:
            detector.fit(train, task.train_y, class_names=task.names)
        except SknegError as error:
            return f"| {info.name} | {task.name} | {str(error)[:60]}... |"
        fit_s = time.perf_counter() - start
        test = task.test.for_detector(info.needs)
        start = time.perf_counter()
        known = detector.score_samples(test)
        score_s = (time.perf_counter() - start) * 1000 / len(known)
        predicted = detector.classes_[detector.predict_proba(test).argmax(axis=1)]
        row = [100 * np.mean(predicted == task.test_y), fit_s, score_s]
        for strange in task.ood.values():
            scores = detector.score_samples(strange.for_detector(info.needs))
            row += [100 * auroc(known, scores), 100 * fpr_at_tpr(known, scores)]
        rows.append(row)
    accuracy, fit_s, score_s, *rest = np.mean(rows, axis=0)
    cells = [f"{a:.2f} / {f:.1f}" for a, f in zip(rest[::2], rest[1::2], strict=True)]
    return (
        f"| {info.name} | {task.name} | {' | '.join(cells)} | {accuracy:.1f} | {fit_s:.1f} | {score_s:.3f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SKNEG_DATA", "../shared/data")))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="names of detectors")
    args = parser.parse_args()
    warnings.simplefilter("ignore", skneg.CalibrationWarning)
    infos = [info for info in skneg.list_detectors() if not args.only or info.name in args.only]
    with tempfile.TemporaryDirectory() as folder:
        tasks = [scenes_task(Path(folder))]
        if args.data.is_dir():
            tasks += [*feature_tasks(args.data), photo_task(args.data)]
        for task in tasks:
            show(f"\n| detector | data | {' | '.join(task.ood)} | accuracy | fit s | s / 1,000 |")
            show("|---|---|" + "---|" * (len(task.ood) + 3))
            for info in infos:
                show(run(info, task, args.seeds))


def show(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
