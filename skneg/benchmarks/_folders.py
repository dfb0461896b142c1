"""Tasks on image files: ImageNet with what is unknown beside it, and a user's own folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets import list_images, load_image_folder
from ..datasets._folders import read_lines
from ..errors import InputError
from ._data import SETS, SPLITS_FILE, check_data, class_keys, class_order, load_class_names, load_set
from ._experiments import Protocol
from ._images import Images
from ._tasks import Task, choose_classes, task_of, unlike


def check_imagenet(protocol: Protocol, root: Path | None) -> None:
    """Refuse a folder that lacks a set, in one message."""
    experiments = protocol.experiments
    files = [SPLITS_FILE] if any(e.split not in (None, "Split-4") for e in experiments) else []
    check_data(root, [key for e in experiments for key in e.needs], files)


def imagenet_tasks(protocol: Protocol, root: Path) -> list[Task]:
    """ImageNet, or a part of it in the same layout, against other sets or its own other classes."""
    files: dict[str, tuple[Images, np.ndarray]] = {}

    def load(key: str) -> tuple[Images, np.ndarray]:
        if key not in files:
            paths, labels = load_set(root, key)
            files[key] = images_of(key, paths, root), labels
        return files[key]

    tasks = []
    for experiment in protocol.experiments:
        (pool, pool_labels), (test, test_labels), *_ = (load(key) for key in experiment.needs)
        order = class_order(pool_labels)
        names = load_class_names(root, order)
        pool_labels, test_labels = class_keys(pool_labels, order), class_keys(test_labels, order)
        strange = sorted(set(test_labels.tolist()) - set(order))
        if strange:
            raise InputError(
                f"{SETS[experiment.needs[1]].title} has {len(strange)} classes that "
                f"{SETS[experiment.needs[0]].title} has not, such as {strange[:3]}."
            )
        known, unknown, n_trained = choose_classes(experiment, order, root)
        ood = {SETS[key].title: load(key)[0] for key in experiment.needs[2:]}
        if experiment.split:
            ood = {experiment.split: test.take(np.flatnonzero(np.isin(test_labels, unknown)))}
        of = dict(zip(order, names, strict=True))
        tasks.append(
            task_of(
                experiment,
                known,
                [of[key] for key in known],
                n_trained,
                (pool, pool_labels),
                (test, test_labels),
                ood,
            )
        )
        tasks[-1].parameters = _outliers(root, tasks[-1].class_names)
    return tasks


def photo_tasks(protocol: Protocol, root: Path) -> list[Task]:
    """Known classes in ``id/<class>/``, unknown images in ``ood_<name>/``."""
    paths, labels = load_image_folder(root / "id")
    classes, numbers = np.unique(labels, return_inverse=True)
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
        ood[name] = images_of(folder.name, list_images(folder), root)
    names = [name.replace("_", " ") for name in classes.tolist()]
    outliers = _outliers(root, names)
    return [
        Task(experiment, names, len(names), images_of("id", paths, root), numbers, ood, parameters=outliers)
        for experiment in protocol.experiments
    ]


def images_of(name: str, paths: list[Path], root: Path) -> Images:
    """Image files, told apart by their place below the data folder."""
    return Images(name, pixels=paths, keys=[_key(path, root) for path in paths])


def _key(path: Path, root: Path) -> str:
    # A list may name images elsewhere.
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def _outliers(root: Path, known: Sequence[str]) -> dict[str, dict[str, Any]]:
    file = root / "outlier_names.txt"
    if not file.is_file():
        return {}
    return {"EOEDetector": {"outlier_names": unlike(read_lines(file), known)}}
