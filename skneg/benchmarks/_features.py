"""The `real-features` protocol: embeddings that were made elsewhere, and a text tower that goes with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..prompts.recipe import CoOpRecipe
from ._data import SPLITS_FILE, check_data, distinct_names, load_splits, read_json
from ._experiments import Protocol
from ._images import Images
from ._tasks import Task, choose_classes, task_of, unlike

_FEATURES = "clip-vitb32-features"
_STUDENT = "clip-student"


def check_features(root: Path | None) -> None:
    """Refuse a folder that lacks a file, in one message."""
    names = [f"{_FEATURES}/{name}.npz" for name in ("imagenet", "ood", "word_bank")]
    check_data(root, [], [*names, f"{_STUDENT}/open_clip_config.json", SPLITS_FILE])


def feature_model(root: Path) -> str:
    """The text tower that the embeddings of `real-features` go with."""
    return f"local-dir:{root / _STUDENT}"


def feature_tasks(protocol: Protocol, root: Path) -> list[Task]:
    """The splits and all classes, on ready embeddings."""
    with np.load(root / _FEATURES / "imagenet.npz") as arrays:
        train, test = (arrays[name].astype(np.float32) for name in ("train", "test"))
        train_y, test_y = arrays["train_y"], arrays["test_y"]
        names = distinct_names(arrays["class_names"].tolist())
    with np.load(root / _FEATURES / "ood.npz") as arrays:
        sets = {"dtd": Images("dtd", embeddings=arrays["dtd"].astype(np.float32))}
    with np.load(root / _FEATURES / "word_bank.npz") as arrays:
        # "peeler_(tool_for_fruit_and_vegetables)" is more than the student tower can read.
        words = unlike([word.split("_(")[0].replace("_", " ") for word in arrays["names"].tolist()], ())
    splits = load_splits(root)
    order = imagenet_order(read_json(root / SPLITS_FILE))
    tasks = []
    for experiment in protocol.experiments:
        known, unknown, n_trained = choose_classes(experiment, order, root)
        place = {key: i for i, key in enumerate(order)}
        chosen = [place[key] for key in known]
        ood = {name: sets[name] for name in experiment.shared_ood}
        if experiment.split in splits:
            rows = np.flatnonzero(np.isin(test_y, [place[key] for key in unknown]))
            ood = {str(experiment.split): Images("rest", embeddings=test[rows]), **ood}
        task = task_of(
            experiment, known, [names[i] for i in chosen], n_trained,
            (Images("train", embeddings=train), np.array(order)[train_y]),
            (Images("test", embeddings=test), np.array(order)[test_y]), ood,
        )  # fmt: skip
        task.parameters = _feature_parameters(words, n_trained)
        tasks.append(task)
    return tasks


def imagenet_order(splits: Any) -> list[str]:
    """The 1,000 WordNet ids in order, from the fourth split, which holds them all."""
    return sorted({*splits["split4"]["id"], *splits["split4"]["ood"]})


def _feature_parameters(words: list[str], n_trained: int) -> dict[str, dict[str, Any]]:
    # The same words for all experiments, so that they are encoded once: detectors drop the class names.
    # The text tower takes 16 tokens in all, fewer than published contexts need. About 8 steps an epoch,
    # however many classes there are, keep the run short; a step costs what the class names cost.
    def short(n_epochs: int) -> dict[str, Any]:
        return {
            "recipe": CoOpRecipe(
                n_ctx=None,
                context_init="a photo of a",
                n_epochs=n_epochs,
                train_batch_size=max(4, n_trained // 2),
            )
        }

    return {
        "CoOpDetector": short(12),
        "LSNDetector": short(4),
        "NegLabelDetector": {"words": words},
        "CSPDetector": {"words": words},
        "EOEDetector": {"outlier_names": words[::16]},
    }
