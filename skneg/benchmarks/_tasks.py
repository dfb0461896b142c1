"""A task: an experiment with its images, whatever they come from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets import sample_shots
from ..errors import InputError
from ._data import SPLITS_FILE, load_splits
from ._experiments import Experiment
from ._images import Images

# Training images with their classes, then test images with theirs.
Drawn = tuple[Images, np.ndarray, Images, np.ndarray]


@dataclass
class Task:
    """An experiment with its images.

    Attributes
    ----------
    class_names : list of str
        All known classes; class i of the labels is the i-th.
    n_trained : int
        The first so many of them have training images.
    pool, pool_y
        What training images are drawn from.
    test, test_y
        ID test images; None: what the seed did not draw from the pool.
    ood : dict of str to Images
    parameters : dict of str to dict
        Detector name to parameters that fit these data.
    before : dict of str to callable
        Detector name to what must be done before it is fitted.
    """

    experiment: Experiment
    class_names: list[str]
    n_trained: int
    pool: Images
    pool_y: np.ndarray
    ood: dict[str, Images]
    test: Images | None = None
    test_y: np.ndarray | None = None
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    before: dict[str, Callable[[], None]] = field(default_factory=dict)
    _drawn: dict[tuple[int, int], Drawn] = field(default_factory=dict, init=False, repr=False)
    _fingerprints: dict[tuple[int, int], str] = field(default_factory=dict, init=False, repr=False)

    @property
    def has_pixels(self) -> bool:
        return self.pool.pixels is not None

    def draw(self, shots: int, seed: int) -> Drawn:
        """Training and test images of a seed, with their classes."""
        if (shots, seed) not in self._drawn:
            self._drawn[shots, seed] = self._draw(shots, seed)
        return self._drawn[shots, seed]

    def _draw(self, shots: int, seed: int) -> Drawn:
        free = np.flatnonzero(self.pool_y < self.n_trained)
        counts = np.bincount(self.pool_y[free], minlength=self.n_trained)
        for number in np.flatnonzero(counts < shots)[:1]:
            like = [self.pool.keys[i] for i in free if self.pool_y[i] == number][:1]
            shown = f" ({like[0]}, ...)" if like and not isinstance(self.pool.pixels, np.ndarray) else ""
            raise InputError(
                f"class {self.class_names[number]!r}{shown} has {counts[number]} images, fewer than "
                f"shots={shots}: add images of it, leave it out, or ask for fewer shots."
            )
        rows = free[
            sample_shots(self.pool_y[free], shots, keys=[self.pool.keys[i] for i in free], random_state=seed)
        ]
        train, train_y = self.pool.take(rows), self.pool_y[rows]
        if self.test is not None:
            assert self.test_y is not None
            return train, train_y, self.test, self.test_y
        rest = np.setdiff1d(np.arange(len(self.pool)), rows)
        if len(rest) == 0:
            raise InputError(f"shots={shots} leaves no image of {self.pool.name!r} to test on.")
        return train, train_y, self.pool.take(rest), self.pool_y[rest]

    def fingerprint(self, shots: int, seed: int) -> str:
        """Which images a seed meets: the names of all, and what the files hold that are made use of."""
        if (shots, seed) not in self._fingerprints:
            train, _, test, _ = self.draw(shots, seed)
            # Not the whole pool: a million files are not read for a few shots.
            contents = [images.content() for images in (train, test, *self.ood.values())]
            parts = [self._names, *(content[:8] for content in contents if content is not None)]
            self._fingerprints[shots, seed] = "-".join(parts)
        return self._fingerprints[shots, seed]

    @cached_property
    def _names(self) -> str:
        held = [self.pool, *([] if self.test is None else [self.test]), *self.ood.values()]
        return "-".join(images.fingerprint()[:8] for images in held)


def task_of(
    experiment: Experiment,
    known: Sequence[str],
    names: list[str],
    n_trained: int,
    pool: tuple[Images, np.ndarray],
    test: tuple[Images, np.ndarray],
    ood: dict[str, Images],
) -> Task:
    """A task from sets whose labels are class keys: rows of other classes go, labels become numbers."""
    number = {key: i for i, key in enumerate(known)}

    def of_known(images: Images, labels: np.ndarray) -> tuple[Images, np.ndarray]:
        rows = np.flatnonzero(np.isin(labels, known))
        return images.take(rows), np.array([number[key] for key in labels[rows].tolist()])

    (drawn, drawn_y), (tested, tested_y) = of_known(*pool), of_known(*test)
    for name, images in {f"ID test images of {experiment.name}": tested, **ood}.items():
        if len(images) == 0:
            raise InputError(f"{name}: no image of these classes.")
    return Task(experiment, names, n_trained, drawn, drawn_y, ood, tested, tested_y)


def choose_classes(
    experiment: Experiment, order: Sequence[str], root: Path
) -> tuple[list[str], list[str], int]:
    """Known classes, those that are trained first; unknown classes; how many are trained."""
    known, unknown = list(order), []
    first = known[: max(2, len(known) // 10)]
    if experiment.split:
        if experiment.split == "Split-4" and not (root / SPLITS_FILE).exists():
            known, unknown = known[:100], known[100:]
            first = known[: max(2, len(known) // 10)]
        else:
            split = load_splits(root)[experiment.split]
            known, unknown, first = split["id"], split["ood"], split["first_10pct"]
            lost = sorted(set(known + unknown) - set(order))
            if lost:
                raise InputError(
                    f"{experiment.split} has {len(lost)} classes without training images, such as {lost[:3]}."
                )
    if experiment.open_vocabulary:
        return [*first, *(key for key in known if key not in set(first))], unknown, len(first)
    return known, unknown, len(known)


def unlike(words: Sequence[str], known: Sequence[str]) -> list[str]:
    """The words without blanks, repetitions and class names."""
    taken = {name.casefold() for name in known}
    free = {word.strip().casefold(): word.strip() for word in reversed(words)}
    return [word for key, word in reversed(free.items()) if key and key not in taken]


def describe(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as JSON takes them: long lists by a hash, functions and files by their name."""

    def show(value: Any) -> Any:
        if callable(value):
            return getattr(value, "__qualname__", type(value).__name__)
        if isinstance(value, Path):
            return value.name
        if isinstance(value, list | tuple):
            shown = [show(item) for item in value]
            digest = hashlib.sha256(json.dumps(shown).encode()).hexdigest()[:8]
            return shown if len(shown) <= 20 else f"{len(shown)} items, sha256 {digest}"
        return value if isinstance(value, str | int | float | bool | dict | None) else str(value)

    return {name: show(value) for name, value in parameters.items()}
