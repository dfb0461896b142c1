"""A task: an experiment with its images, whatever they come from."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import joblib
import numpy as np

from ..datasets import sample_shots
from ..errors import InputError
from ._protocols import Experiment


@dataclass(frozen=True)
class Images:
    """A set of images: files, pixels, or embeddings, or pixels with their embeddings.

    Attributes
    ----------
    name : str
        For messages.
    labels : ndarray of shape (n,)
        Of known classes: their numbers.
    keys : ndarray of shape (n,)
        What tells the images apart on every machine.
    pixels : ndarray of paths or encoded images (n,), or of pixels (n, height, width, 3), or None
    embeddings : ndarray of shape (n, d), optional
    """

    name: str
    labels: np.ndarray
    keys: np.ndarray
    pixels: np.ndarray | None = None
    embeddings: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: np.ndarray) -> Images:
        """Some of the images."""
        pixels, embeddings = (None if p is None else p[rows] for p in (self.pixels, self.embeddings))
        return Images(self.name, self.labels[rows], self.keys[rows], pixels, embeddings)

    def images(self) -> Any:
        """What a detector takes that looks at pixels: paths, or an array."""
        assert self.pixels is not None, "a detector that looks at pixels is not run on embeddings"
        return self.pixels.tolist() if self.pixels.ndim == 1 else self.pixels

    def of_classes(self, known: Sequence[str]) -> Images:
        """The images whose labels are among these, which then are numbers."""
        number = {key: i for i, key in enumerate(known)}
        taken = self.take(np.flatnonzero(np.isin(self.labels, known)))
        return replace(taken, labels=np.array([number[key] for key in taken.labels.tolist()], dtype=int))

    def joined(self, others: Sequence[Images]) -> Images:
        """These images, then those of the others; all of one kind."""
        parts = [(i.labels, i.keys, i.pixels, i.embeddings) for i in (self, *others)]
        joined = (None if c[0] is None else np.concatenate(c) for c in zip(*parts, strict=True))  # type: ignore[arg-type]
        return Images(self.name, *joined)  # type: ignore[arg-type]

    def state(self) -> str:
        """A hash of which images these are; of files their names, sizes and times."""
        if self.pixels is None or self.pixels.ndim > 1 or isinstance(self.pixels[0], bytes):
            return joblib.hash([self.keys.tolist(), self.pixels, self.embeddings])
        stats = [os.stat(path) if os.path.exists(path) else None for path in self.pixels]
        return joblib.hash([self.keys.tolist(), [s and (s.st_size, s.st_mtime_ns) for s in stats]])


def numbered(name: str, pixels: Any = None, embeddings: Any = None, labels: Any = None) -> Images:
    """Images that are told apart by their numbers."""
    n = len(embeddings if pixels is None else pixels)
    labels = np.full(n, "") if labels is None else labels
    return Images(name, labels, np.arange(n).astype(str), pixels, embeddings)


@dataclass
class Task:
    """An experiment with its images.

    Attributes
    ----------
    class_names : list of str
        All known classes; class i of the labels is the i-th.
    n_trained : int
        The first so many of them have training images.
    pool : Images
        What training images are drawn from.
    test : Images or None
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
    test: Images | None
    ood: dict[str, Images]
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    before: Mapping[str, Callable[[], None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        tested = {} if self.test is None else {f"ID test images of {self.experiment.name}": self.test}
        for name, images in {**tested, **self.ood}.items():
            if len(images) == 0:
                raise InputError(f"{name}: no image of these classes.")

    def prepare(self, detector: str) -> None:
        """Do what must be done before a detector is built or fitted."""
        if detector in self.before:
            self.before[detector]()

    def draw(self, shots: int, seed: int) -> tuple[Images, Images]:
        """Training and test images of a seed."""
        free = np.flatnonzero(self.pool.labels < self.n_trained)
        y, keys = self.pool.labels[free], self.pool.keys[free]
        for number in np.flatnonzero(np.bincount(y, minlength=self.n_trained) < shots)[:1]:
            like = keys[y == number].tolist()
            raise InputError(
                f"class {self.class_names[number]!r} (such as {like[:1]}) has {len(like)} images, fewer than "
                f"shots={shots}: add images of it, leave it out, or ask for fewer shots."
            )
        rows = free[sample_shots(y, shots, keys=keys.tolist(), random_state=seed)]
        test = self.test
        if test is None:
            test = self.pool.take(np.setdiff1d(np.arange(len(self.pool)), rows))
        if len(test) == 0:
            raise InputError(f"shots={shots} leaves no image of {self.pool.name!r} to test on.")
        return self.pool.take(rows), test
