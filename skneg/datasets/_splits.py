"""A few images of each class, the same ones wherever they are drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np

from .._utils import check_at_least
from ..errors import InputError


def sample_shots(
    labels: Any, shots: int, *, keys: Sequence[Any] | None = None, random_state: int = 0
) -> np.ndarray:
    """Rows of `shots` random images of each class.

    The samples of one seed are nested: the one image of ``shots=1`` is among the two of ``shots=2``. What
    is drawn of a class depends on its own images alone, neither on the other classes nor on the order in
    which a file system lists them.

    Parameters
    ----------
    labels : array-like of shape (n,)
        The class of each image.
    shots : int
        Images per class.
    keys : sequence of shape (n,), optional
        What tells the images of a class apart, such as their paths below the data folder; the rows
        themselves by default, and then their order counts.
    random_state : int, default=0

    Returns
    -------
    ndarray of int, shape (k * shots,)
        Class after class in the order of the sorted labels.

    Raises
    ------
    InputError
        If a class has fewer than `shots` images, or two images of one class have one key; names the class.

    Examples
    --------
    >>> from skneg.datasets import sample_shots
    >>> labels = ["cat", "dog", "cat", "dog", "cat"]
    >>> len(sample_shots(labels, 2))
    4
    >>> one, two = sample_shots(labels, 1), sample_shots(labels, 2)
    >>> set(one.tolist()) <= set(two.tolist())
    True
    """
    check_at_least("shots", shots, 1, Integral)
    check_at_least("random_state", random_state, 0, Integral)
    classes, numbers = np.unique(np.asarray(labels), return_inverse=True)
    names = [str(key) for key in (range(len(numbers)) if keys is None else keys)]
    if len(names) != len(numbers):
        raise InputError(f"keys has {len(names)} entries for {len(numbers)} labels.")
    by_class = np.split(np.argsort(numbers, kind="stable"), np.cumsum(np.bincount(numbers))[:-1])
    chosen = []
    for label, rows in zip(classes.tolist(), by_class, strict=True):
        if len(rows) < shots:
            raise InputError(
                f"class {label!r} has {len(rows)} images, fewer than shots={shots}: add images of it, leave "
                "it out, or ask for fewer shots."
            )
        if keys is not None:
            rows = np.array(sorted(rows.tolist(), key=lambda row: names[row]))
            if len({names[row] for row in rows}) < len(rows):
                raise InputError(f"two images of class {label!r} have the same key.")
        digest = hashlib.sha256(f"{random_state}/{label}".encode()).digest()
        order = np.random.default_rng(int.from_bytes(digest[:16], "little")).permutation(len(rows))
        chosen.append(rows[order[:shots]])
    return np.concatenate(chosen) if chosen else np.array([], dtype=int)
