"""Images that look unknown are kept, and new ones compared with them."""

from __future__ import annotations

from numbers import Integral

import numpy as np

from .._utils import by_blocks, check_at_least, check_between
from ._adaptation import Adaptation, Memory, Static

_COPY = 1 - 1e-5  # cosine from which an image is a copy of another
_PRIOR = 20  # kept images with which the comparison counts for half of what it will
_FLOOR = 1e-3  # the smallest spread of a difference of cosines: below it, rounding would count


class NearestUnknown(Adaptation):
    """Compare an image with the unknown images of the stream, and with the known ones of `fit`.

    Of the last `memory_size` images of the stream, those are kept whose p-values by the *static* score are
    small: as many as Benjamini and Hochberg's rule [1]_ finds at the level `share`. So kept images are not
    chosen by what was kept before, and a stream of known images keeps few or none. With u the largest cosine
    of an image to those that are kept, o that to the known images, and D = o - u standardised by the known
    images (each of them without itself and others of its group), its score is ::

        s - sd(s) * weight * t * m / (m + 20) * log(1 + exp(-D))

    where s is the static score and m the number of kept images. t is the share of the known images whose
    nearest other one is of their class, of those that have another of it (1 without labels): where nearest
    images do not tell known classes apart, they say little of unknown ones. The last factor is the evidence
    of one more competitor: an image unlike all that was kept loses next to nothing.

    Parameters
    ----------
    weight : float, default=1.0
        What the comparison counts for, beside the static score.
    share : float, default=0.65
        Share of known images that is accepted among the kept ones, between 0 and 1. The rule counts as if
        all images were known: where most are not, far fewer of the kept ones are.
    memory_size : int, default=1000
        Images of the stream that are remembered, the last ones.

    References
    ----------
    .. [1] Benjamini and Hochberg, "Controlling the False Discovery Rate", JRSS B 1995; for conformal p-values
       Bates et al., "Testing for Outliers with Conformal p-values", Annals of Statistics 2023.

    Examples
    --------
    >>> from skneg.adaptation import NearestUnknown
    >>> NearestUnknown(memory_size=200).get_params()["memory_size"]
    200
    """

    reference = "skneg (this package)"
    constant = ("own", "told")

    def __init__(self, *, weight: float = 1.0, share: float = 0.65, memory_size: int = 1000) -> None:
        self.weight = weight
        self.share = share
        self.memory_size = memory_size

    def check(self) -> None:
        """Refuse parameters that are not usable."""
        check_at_least("weight", self.weight, 0)
        check_between("share", self.share, 0, 1)
        check_at_least("memory_size", self.memory_size, 1, Integral)

    def start(self, static: Static, seed: int) -> Memory:
        """The memory before the first image; see `Adaptation.start`."""
        nothing = static.embeddings[:0]
        own, of_class = _own_nearest(static.embeddings, static.groups, static.targets)
        told = (of_class == own)[of_class > -1]
        return {
            "own": own,
            "told": float(told.mean()) if len(told) else 1.0,
            "images": nothing,
            "p_values": np.empty(0),
            "kept": nothing,
            "differences": np.empty(0),  # o - u of the known images, once there is a u
        }

    def move(self, static: Static, memory: Memory, Z: np.ndarray, s: np.ndarray) -> Memory:
        """The memory after some more images; see `Adaptation.move`."""
        images = np.concatenate([memory["images"], Z])[-self.memory_size :]
        p = np.concatenate([memory["p_values"], static.p_values(s)])[-self.memory_size :]
        kept = images[p <= _largest_found(p, self.share)]
        differences = memory["own"] - _nearest(static.embeddings, kept) if len(kept) else np.empty(0)
        return {**memory, "images": images, "p_values": p, "kept": kept, "differences": differences}

    def score(self, static: Static, memory: Memory, Z: np.ndarray, s: np.ndarray) -> np.ndarray:
        """Scores with this memory; see `Adaptation.score`."""
        if len(memory["kept"]) == 0:
            return s
        return self._moved(static, memory, s, _nearest(Z, static.embeddings) - _nearest(Z, memory["kept"]))

    def score_known(self, static: Static, memory: Memory) -> np.ndarray:
        """Scores of the known images, each without itself; see `Adaptation.score_known`."""
        if len(memory["kept"]) == 0:
            return static.scores
        return self._moved(static, memory, static.scores, memory["differences"])

    def _moved(self, static: Static, memory: Memory, s: np.ndarray, differences: np.ndarray) -> np.ndarray:
        of_known, m = memory["differences"], len(memory["kept"])
        D = (differences - of_known.mean()) / max(of_known.std(), _FLOOR)
        weight = float(self.weight) * memory["told"] * m / (m + _PRIOR)
        return s - weight * static.spread * np.logaddexp(0.0, -D)


def _nearest(Z: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The largest cosine (n,) of each image to others."""
    return by_blocks(Z, len(others), lambda rows: (rows @ others.T).max(axis=1)).astype(np.float64)


def _own_nearest(Z: np.ndarray, groups: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest cosine (n,) of each image to those of other groups that are no copies, and of its class.

    It is -1 where there is none.
    """

    def largest(rows: np.ndarray) -> np.ndarray:
        cosines = Z[rows] @ Z.T
        cosines[(cosines > _COPY) | (groups[rows, None] == groups)] = -1
        of_class = np.where(targets[rows, None] == targets, cosines, -1)
        return np.stack([cosines.max(axis=1), of_class.max(axis=1)], axis=1)

    own, of_class = by_blocks(np.arange(len(Z)), len(Z), largest).astype(np.float64).T
    return own, of_class


def _largest_found(p: np.ndarray, level: float) -> float:
    """The p-value up to which Benjamini and Hochberg's rule finds images; 0 where it finds none."""
    ordered = np.sort(p)
    found = np.flatnonzero(ordered * len(p) <= level * np.arange(1, len(p) + 1))
    return float(ordered[found[-1]]) if len(found) else 0.0
