"""The images of a protocol, as tasks: image files, or embeddings that were made elsewhere."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .._files import open_regular
from ..datasets import list_images, load_image_folder
from ..datasets._folders import read_lines
from ..errors import InputError
from ..prompts.recipe import CoOpRecipe
from ._data import (
    choose_classes,
    class_keys,
    class_order,
    distinct_names,
    load_class_names,
    load_set,
    load_split,
    unlike,
)  # fmt: skip
from ._protocols import SETS, Protocol
from ._tasks import Images, Task, numbered


def imagenet_tasks(protocol: Protocol, root: Path) -> list[Task]:
    """ImageNet, or a part of it in the same layout, against other sets or its own other classes."""
    load = cache(lambda key: _images_of(key, *load_set(root, key), root))
    tasks = []
    for experiment in protocol.experiments:
        pool, test, *others = map(load, experiment.needs)
        order = class_order(pool.labels)
        names = dict(zip(order, load_class_names(root, order), strict=True))
        pool, test = (_with_labels(part, class_keys(part.labels, order)) for part in (pool, test))
        strange = sorted(set(test.labels.tolist()) - set(order))
        if strange:
            train_title, test_title = (SETS[key].title for key in experiment.needs[:2])
            raise InputError(
                f"{test_title} has {len(strange)} classes that {train_title} has not, such as {strange[:3]}."
            )
        known, unknown, n_trained = choose_classes(experiment, order, root)
        ood = {SETS[images.name].title: images for images in others}
        if experiment.split:
            ood = {experiment.split: test.take(np.flatnonzero(np.isin(test.labels, unknown)))}
        named = [names[key] for key in known]
        outliers = _outliers(root, named)
        pool, test = pool.of_classes(known), test.of_classes(known)
        tasks.append(Task(experiment, named, n_trained, pool, test, ood, outliers))
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


def _images_of(name: str, paths: list[Path], labels: np.ndarray, root: Path) -> Images:
    """Image files, told apart by their place below the data folder; a list may name images elsewhere."""
    keys = [(p.relative_to(root) if p.is_relative_to(root) else p).as_posix() for p in paths]
    return Images(name, labels, np.array(keys), np.array(paths, dtype=object))


def _with_labels(images: Images, labels: np.ndarray) -> Images:
    return Images(images.name, labels, images.keys, images.pixels)


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
        "EOEDetector": {"outlier_names": words[::16]},
    }
