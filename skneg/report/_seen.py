"""What a detector sees of images, kept together: a set of a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..images._thumbnail import picture_of
from ..inspection import Explanations
from ..inspection._explain import explain_seen, look, whole_images

_ARRAYS = ("embeddings", "posterior", "labels", "sources", "sets")


@dataclass(frozen=True, eq=False)
class Seen:
    """n images.

    Attributes
    ----------
    why : Explanations
    embeddings : ndarray of shape (n, d)
    posterior : ndarray of shape (n, k)
    labels : ndarray of shape (n,), object
        None for images without one.
    sources : ndarray of shape (n,), object
        The images, each as a pair of a sequence and the row in it; None where there are embeddings only.
    sets : ndarray of shape (n,), object
        The name of the set that each belongs to.
    """

    why: Explanations
    embeddings: np.ndarray
    posterior: np.ndarray
    labels: np.ndarray
    sources: np.ndarray
    sets: np.ndarray

    def __len__(self) -> int:
        return len(self.embeddings)

    def __getitem__(self, rows: Any) -> Seen:
        return Seen(self.why[rows], *(getattr(self, name)[rows] for name in _ARRAYS))

    @classmethod
    def joined(cls, named: Mapping[str, Seen]) -> Seen:
        """All images of several sets."""
        parts = [replace(seen, sets=np.full(len(seen), name, dtype=object)) for name, seen in named.items()]
        columns = [part.why.to_dict() for part in parts]
        names = [name for name in columns[0] if all(name in column for column in columns)]
        why = {name: np.concatenate([column[name] for column in columns]) for name in names}
        if any(part.why.path is not None for part in parts):
            paths = [[""] * len(part) if part.why.path is None else part.why.path for part in parts]
            why["path"] = np.concatenate([np.array(path, dtype=object) for path in paths])
        arrays = [np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS]
        return cls(Explanations(**why), *arrays)

    def pictures(self, size: int) -> list[str]:
        """See `picture_of`."""
        return [
            "" if source is None else picture_of(source[0], source[1], size)
            for source in self.sources.tolist()
        ]


def see(estimator: Any, X: Any, labels: np.ndarray | None = None) -> Seen:
    """Each image encoded once, and explained."""
    detector, state, Z, images = look(estimator, X, "report.html")
    posterior = detector._posterior(state, Z)
    why = explain_seen(detector, state, Z, images, posterior)
    sources = np.empty(len(why), dtype=object)
    if images is not None:
        sources[:] = [(images, row) for row in range(len(why))]
    none = np.full(len(why), None)
    given = none if labels is None else labels
    return Seen(why, whole_images(detector, Z), posterior, given, sources, none)
