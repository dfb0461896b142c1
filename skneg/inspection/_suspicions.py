"""What `suspicious_labels` returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._tables import _SHOWN, _frame, _html, _table, pictures_of

_COLUMNS = ("row", "label", "likely_label", "kind", "chance", "other", "cosine", "path")


@dataclass(frozen=True, eq=False, repr=False)
class Suspicions:
    """Training images to look at, m of n, the most doubtful first; an image may be there for several reasons.

    Attributes
    ----------
    row : ndarray of shape (m,), int
        Row of X.
    label : ndarray of shape (m,)
        Its label.
    likely_label : ndarray of shape (m,)
        The class that it looks like most, its own left out; of a copy the label of the other image.
    kind : ndarray of shape (m,), str
        ``"label"``: looks like another class. ``"outlier"``: looks like none. ``"copy"``: is nearly the same
        image as `other`.
    chance : ndarray of shape (m,), float64
        That nothing is wrong. Of a label, the chance that it is right; of an outlier, the conformal p-value;
        of copies with two labels, the chance that this one is right if one of both is, at most a half.
    other : ndarray of shape (m,), int
        Row of the other image of a pair of copies; -1 for the other kinds.
    cosine : ndarray of shape (m,), float64
        Of both; NaN for the other kinds.
    right, p_value : ndarray of shape (n,), float64
        Of each image of X, listed or not: the chance that its label is right, and its conformal p-value.
        ``np.argsort(found.right)`` has all images, the most doubtful label first. NaN where nothing can be
        said: the image's class has no other image, there is one class, or its label means unknown.
    min_cosine : float
        From which on two images count as copies.
    path : ndarray of shape (m,), object, or None
        The file of each image; None where no image came as a path.
    images : sequence of images or None
        All of X, for pictures.
    """

    row: np.ndarray
    label: np.ndarray
    likely_label: np.ndarray
    kind: np.ndarray
    chance: np.ndarray
    other: np.ndarray
    cosine: np.ndarray
    right: np.ndarray
    p_value: np.ndarray
    min_cosine: float
    path: np.ndarray | None = None
    images: Sequence | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Numbers are kept, images not: how they are loaded cannot be written to a file.
        return {**vars(self), "images": None}

    def __len__(self) -> int:
        return len(self.row)

    def to_dict(self) -> dict[str, np.ndarray]:
        """Name and values of each column of the list."""
        return {name: of for name in _COLUMNS if (of := getattr(self, name)) is not None}

    def to_frame(self) -> Any:
        """The list as a pandas DataFrame, one row for each finding."""
        return _frame(self.to_dict())

    def pictures(self, size: int = 96) -> list[str]:
        """Each listed image as a small picture, a ``data:`` address for a page; "" where there is none.

        Parameters
        ----------
        size : int, default=96
            Largest side in pixels.

        Returns
        -------
        list of str of length m
        """
        return pictures_of(self.images, self.row, size)

    def _columns(self) -> dict[str, list[str]]:
        """The table that is shown, as text, of the first few."""
        shown = {name: values[:_SHOWN].tolist() for name, values in self.to_dict().items()}
        columns = {name.replace("_", " "): [str(value) for value in shown[name]] for name in _COLUMNS[:4]}
        columns["chance"] = [f"{value:.3f}" for value in shown["chance"]]
        columns["other image"] = [
            f"{row} (cos {cosine:.3f})" if row >= 0 else ""
            for row, cosine in zip(shown["other"], shown["cosine"], strict=True)
        ]
        if self.path is not None:
            columns["path"] = [path if len(path) <= 40 else f"...{path[-37:]}" for path in shown["path"]]
        return columns

    def _told(self) -> str:
        counts = [f"{(self.kind == kind).sum()} {kind}" for kind in ("label", "outlier", "copy")]
        silent = int(np.isnan(self.right).sum())
        told = f"{len(self.right)} images: {', '.join(counts)}"
        return told + (f"; the labels of {silent} cannot be judged" if silent else "")

    def __str__(self) -> str:
        return f"{_table(self._columns(), len(self))}\n{self._told()}" if len(self) else self._told()

    def _repr_html_(self) -> str:
        """The table with pictures, as notebooks show it."""
        table = (
            _html(self._columns(), pictures_of(self.images, self.row[:_SHOWN], 64), len(self))
            if len(self)
            else ""
        )
        return f"{table}<p>{self._told()}</p>"

    __repr__ = __str__
