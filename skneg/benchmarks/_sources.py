"""The images of a protocol, as tasks: image files, or embeddings that were made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .._files import open_regular
from ..datasets import list_images, load_image_folder
from ..datasets._folders import read_lines
from ..datasets._image_classes import distinct_names, load_split
from ..datasets._protocols import open_protocol
from ..errors import InputError
from ..prompts.recipe import CoOpRecipe
from ._data import choose_classes, unlike
from ._protocols import Protocol
from ._tasks import Images, Task, numbered


def image_tasks(protocol: Protocol, root: Path) -> list[Task]:
    """The image protocols of `skneg.datasets`, or some of their groups; each set is read once."""
    read: dict[str, tuple[Any, np.ndarray]] = {}
    tasks = []
    for experiment in protocol.experiments:
        assert experiment.images is not None, "the experiments of this source name their images"
        found = open_protocol(experiment.images, root, read)
        known, _, n_trained = choose_classes(experiment, found.all_classes, root)
        named = dict(zip(found.classes, found.class_names, strict=True))
        pool, test, *covariate = (
            _images_of(held.name, held.images, held.keys, root)
            for held in (found.train, found.test, *found.covariate.values())[
                : None if experiment.full_spectrum else 2
            ]
        )
        unknown = (
            found.near
            if experiment.split
            else {name: held for group in experiment.groups for name, held in getattr(found, group).items()}
        )
        ood = {name: _images_of(name, held.images, held.keys, root) for name, held in unknown.items()}
        names = [named[key] for key in known]
        pool, test = pool.of_classes(known), test.of_classes(known)
        if covariate:
            test = test.joined([images.of_classes(known) for images in covariate])
        tasks.append(Task(experiment, names, n_trained, pool, test, ood, _outliers(root, names)))
    return tasks


def photo_tasks(protocol: Protocol, root: Path) -> list[Task]:
    """Known classes in ``id/<class>/``, unknown images in ``ood_<name>/``."""
    paths, labels = load_image_folder(root / "id")
    folders = sorted(p for p in root.iterdir() if p.is_dir() and p.name.startswith("ood"))
    if not folders:
        raise InputError(f"data={str(root)!r} needs folders of unknown images, ood_<name>/, beside id/.")
    ood: dict[str, Images] = {}
    for folder in folders:
        name = folder.name.removeprefix("ood").strip("_-") or "ood"
        if name in ood:
            raise InputError(
                f"data={str(root)!r} has two folders, {ood[name].name!r} and {folder.name!r}, whose column "
                f"would be {name!r}: rename one."
            )
        found = list_images(folder)
        ood[name] = _images_of(folder.name, found, np.full(len(found), ""), root)
    classes, numbers = np.unique(labels, return_inverse=True)
    names = [name.replace("_", " ") for name in classes.tolist()]
    pool = _images_of("id", paths, numbers, root)
    return [
        Task(experiment, names, len(names), pool, None, ood, _outliers(root, names))
        for experiment in protocol.experiments
    ]


def _images_of(name: str, paths: Any, labels: np.ndarray, root: Path) -> Images:
    """Image files, told apart by their place below the data folder; others by their numbers."""
    if not isinstance(paths[0], Path):
        pixels = np.array(paths, dtype=object) if isinstance(paths, list) else paths
        return numbered(name, pixels, labels=labels)
    keys = [(p.relative_to(root) if p.is_relative_to(root) else p).as_posix() for p in paths]
    return Images(name, labels, np.array(keys), np.array(paths, dtype=object))


def _outliers(root: Path, known: list[str]) -> dict[str, dict[str, Any]]:
    file = root / "outlier_names.txt"
    return {"EOEDetector": {"outlier_names": unlike(read_lines(file), known)}} if file.is_file() else {}


def feature_model(root: Path) -> str:
    """The text tower that the embeddings of `real-features` go with."""
    return f"local-dir:{root / 'clip-student'}"


def feature_tasks(protocol: Protocol, root: Path) -> list[Task]:
    """The splits and all classes, on ready embeddings."""
    folder = root / "clip-vitb32-features"
    first, others, _ = load_split(root, "Split-4")
    order = sorted([*first, *others])
    with open_regular(folder / "imagenet.npz") as file, np.load(file) as arrays:
        pool, test = (
            numbered(
                part, embeddings=arrays[part].astype(np.float32), labels=np.array(order)[arrays[f"{part}_y"]]
            )
            for part in ("train", "test")
        )
        names = dict(zip(order, distinct_names(arrays["class_names"].tolist()), strict=True))
    with open_regular(folder / "ood.npz") as file, np.load(file) as arrays:
        sets = {"dtd": numbered("dtd", embeddings=arrays["dtd"].astype(np.float32))}
    with open_regular(folder / "word_bank.npz") as file, np.load(file) as arrays:
        # "peeler_(tool_for_fruit_and_vegetables)" is more than the student tower can read.
        words = unlike([word.split("_(")[0].replace("_", " ") for word in arrays["names"].tolist()], ())
    tasks = []
    for experiment in protocol.experiments:
        known, unknown, n_trained = choose_classes(experiment, order, root)
        ood = {name: sets[name] for name in experiment.needs}
        if experiment.split:
            ood = {experiment.split: test.take(np.flatnonzero(np.isin(test.labels, unknown))), **ood}
        tasks.append(
            Task(
                experiment, [names[key] for key in known], n_trained, pool.of_classes(known),
                test.of_classes(known), ood, _feature_parameters(words, n_trained),
            )
        )  # fmt: skip
    return tasks


def _feature_parameters(words: list[str], n_trained: int) -> dict[str, dict[str, Any]]:
    # The same words for all experiments, so that they are encoded once: detectors drop the class names.
    # The text tower takes 16 tokens in all, fewer than published contexts need. About 8 steps an epoch,
    # however many classes there are, keep the run short; a step costs what the class names cost.
    short: dict[str, Any] = {"n_ctx": None, "context_init": "a photo of a"}
    short["train_batch_size"] = max(4, n_trained // 2)
    return {
        "CoOpDetector": {"recipe": CoOpRecipe(n_epochs=12, **short)},
        "LSNDetector": {"recipe": CoOpRecipe(n_epochs=4, **short)},
        "FADetector": {"recipe": CoOpRecipe(n_epochs=12, **short)},
        "NegLabelDetector": {"words": words},
        "CSPDetector": {"words": words},
        # A class name and a word stand in one text.
        "NegRefineDetector": {"words": [word for word in words if len(word) < 12]},
        "EOEDetector": {"outlier_names": words[::16]},
    }
