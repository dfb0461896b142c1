"""The split-conformal threshold: which images set it, what it is, and p-values.

References
----------
.. [1] Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005.
.. [2] Bates et al., "Testing for Outliers with Conformal p-values", Annals of Statistics 2023.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ._forks import cached_property
from ._utils import as_float, check_between, finite, warn
from .errors import CalibrationWarning, InputError
from .images import CroppedImages

_SHARE = 0.2  # of the training images that `calibration="holdout"` holds out


@dataclass(frozen=True, eq=False)
class Calibrator:
    """The images that set a threshold, with their scores and the threshold.

    Attributes
    ----------
    images : indexable, of length n
        What the detector has kept of each image.
    names : list of str or None
        Their class names; None where they came without labels.
    scores : ndarray of shape (m,), float64
        Sorted scores of the images that can be scored, m <= n.
    offset : float
        Images with smaller scores are rejected.
    shift : ndarray of shape (n, 2) or None
        What to add to each image's score, and to that of its own class, to have them as if the image had
        taught the detector nothing; None where it has not.
    groups : ndarray of shape (n,), int, or None
        Which of the images belong together; None where each is alone.
    """

    images: Any
    names: list[str] | None
    scores: np.ndarray
    offset: float
    shift: np.ndarray | None = None
    groups: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        images: Any,
        names: list[str] | None,
        scores: np.ndarray,
        contamination: float,
        whose: str | None = None,
        shift: np.ndarray | None = None,
        groups: np.ndarray | None = None,
    ) -> Self:
        """Set the threshold on scores of images.

        Parameters
        ----------
        images, names, shift, groups
            See the attributes.
        scores : ndarray of shape (m,)
        contamination : float
            Share of new ID images that may be rejected.
        whose : str, optional
            What a warning about too few images calls the threshold, which is then their smallest score.
            By default too few images are an error.

        Raises
        ------
        InputError
            If there are too few images and `whose` is None.
        """
        finite(scores)
        if isinstance(images, CroppedImages):
            images = images.embeddings  # their pixels are needed no more
        try:
            offset = conformal_offset(scores, contamination)
        except InputError:
            if whose is None:
                raise
            offset = float(scores.min())
            warn(
                f"{whose} comes from {len(scores)} images, too few for contamination={contamination}: at "
                f"least {smallest_calibration_set(contamination)} are needed. It is their smallest score: "
                "give more images, here or by calibrate(X, y), or set a larger contamination.",
                CalibrationWarning,
            )
        return cls(images, names, np.sort(scores), offset, shift, groups)

    @cached_property
    def centre(self) -> np.ndarray | None:
        """Mean (d,) of their embeddings; None where there are none."""
        embeddings = getattr(self.images, "embeddings", self.images)
        return embeddings.mean(axis=0, dtype=np.float64) if getattr(embeddings, "ndim", 0) == 2 else None

    @property
    def is_by_unknown(self) -> bool:
        """Whether unknown images have set the threshold: else it is the score of one of the known ones."""
        return not bool(np.isin(self.offset, self.scores))

    @property
    def spread(self) -> float:
        """Standard deviation of the scores."""
        return float(self.scores.std())

    def attributes(self) -> dict[str, Any]:
        """What a detector shows of it."""
        return {
            "calibration_embeddings_": self.images,
            "calibration_names_": self.names,
            "calibration_scores_": self.scores,
            "calibration_shift_": self.shift,
            "calibration_groups_": self.groups,
            "offset_": self.offset,
        }

    def p_values(self, scores: np.ndarray) -> np.ndarray:
        """`p_values` of scores against those of the images."""
        return p_values(finite(scores), self.scores)


def check_calibration(calibration: Any) -> None:
    """Refuse a `calibration` parameter that is neither a rule nor a share."""
    rules = ("auto", "cross", "holdout", "train")
    if isinstance(calibration, str):
        if calibration in rules:
            return
    elif not isinstance(calibration, bool) and 0 < as_float(calibration) < 1:
        return
    listed = ", ".join(map(repr, rules))
    raise InputError(
        f"calibration must be one of {listed} or a share of the images between 0 and 1, got {calibration!r}."
    )


def split_for_calibration(
    targets: np.ndarray,
    calibration: str | float,
    contamination: float,
    random_state: np.random.RandomState,
    groups: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and rows to calibrate on, where `calibration` is "holdout" or a share.

    Of each group that is held out one image calibrates, drawn at random: images of a group are no new draws.

    Raises
    ------
    InputError
        If there are too few images for `contamination`.
    """
    share = _SHARE if isinstance(calibration, str) else calibration
    train, held_out = split_holdout(targets, share, random_state, groups)
    needed, what = smallest_calibration_set(contamination), "images"
    if groups is not None:
        held_out, what = held_out[one_of_each(groups[held_out], random_state)], "groups of images"
    if len(held_out) < needed:
        n = len(targets) if groups is None else len(np.unique(groups))
        raise InputError(
            f"calibration={calibration!r} holds out {len(held_out)} of {n} {what}, but "
            f"contamination={contamination} needs {needed}: give more images, hold out a larger share with "
            "calibration=<share>, set a larger contamination, or take calibration='cross', which holds "
            "nothing out."
        )
    return train, held_out


def one_of_each(groups: np.ndarray, random_state: np.random.RandomState) -> np.ndarray:
    """One row of each group, drawn at random, sorted."""
    order = random_state.permutation(len(groups))
    return np.sort(order[np.unique(groups[order], return_index=True)[1]])


def conformal_offset(scores: np.ndarray, contamination: float) -> float:
    """Threshold below which at most a share `contamination` of new ID images falls, on average ([1]_, [2]_).

    Parameters
    ----------
    scores : array-like of shape (n,)
        Scores of ID images that had no part in training.
    contamination : float
        The share alpha of ID images that may be rejected, in (0, 1).

    Returns
    -------
    float
        The floor(alpha (n + 1))-th smallest score: a new image is rejected where its score is smaller.

    Raises
    ------
    InputError
        If n < 1 / alpha - 1: too few images for so small a share.
    """
    values = np.sort(np.asarray(scores, dtype=np.float64))
    # 0.05 * 20 must be 1, and is 1.0000000000000002 or 0.9999... in floating point.
    rank = min(int(np.floor(float(contamination) * (len(values) + 1) + 1e-9)), len(values))
    if rank < 1:
        raise InputError(
            f"{len(values)} calibration images are too few for contamination={contamination}: at least "
            f"{smallest_calibration_set(contamination)} are needed."
        )
    return float(values[rank - 1])


def offset_by_unknown(
    known: np.ndarray, unknown: np.ndarray, accepted: float | None = None, cost: float | None = None
) -> float:
    """Threshold from scores of unknown images beside those of known ones.

    Parameters
    ----------
    known, unknown : ndarray of shape (n,), (m,)
        Scores.
    accepted : float, optional
        Share of new unknown images that may be accepted, on average: the threshold is the mirror image of
        `conformal_offset`.
    cost : float, optional
        What one accepted unknown image costs, in rejected known ones: the threshold has the smallest
        ``share of known rejected + cost * share of unknown accepted``.

    Raises
    ------
    InputError
        If there are too few unknown images for `accepted`, or not exactly one of both is given.
    """
    if (accepted is None) == (cost is None):
        raise InputError("say either accepted=<share of unknown images> or cost=<of one accepted>.")
    if accepted is not None:
        check_between("accepted", accepted, 0, 1)
        try:
            return float(np.nextafter(-conformal_offset(-unknown, accepted), np.inf))
        except InputError as error:
            raise InputError(
                f"{len(unknown)} unknown images are too few for accepted={accepted}: at least "
                f"{smallest_calibration_set(accepted)} are needed."
            ) from error
    assert cost is not None
    check_between("cost", cost, 0, np.inf)
    known, unknown = np.sort(known), np.sort(unknown)
    # Next to a score, not on it: what unknown images have set is told by that (`Calibrator.is_by_unknown`).
    places = np.unique(np.concatenate([np.nextafter(known, -np.inf), np.nextafter(unknown, np.inf)]))
    rejected = np.searchsorted(known, places) / len(known)
    let_in = 1 - np.searchsorted(unknown, places) / len(unknown)
    return float(places[np.argmin(rejected + cost * let_in)])


def smallest_calibration_set(contamination: float) -> int:
    """The fewest images with which `conformal_offset` can work."""
    return int(np.ceil(min(1 / float(contamination), 2.0**62) - 1 - 1e-9))  # 1 / 5e-324 is infinite


def split_holdout(
    targets: np.ndarray,
    fraction: float,
    random_state: np.random.RandomState,
    groups: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and rows to calibrate on; every class keeps at least one row to train on.

    Parameters
    ----------
    targets : ndarray of shape (n,), int
    fraction : float
        Share of the rows (of the groups) to hold out, in (0, 1).
    random_state : RandomState
    groups : ndarray of shape (n,), int, optional
        Rows of one group stay on one side.

    Returns
    -------
    train, held_out : ndarray of int, sorted
    """
    from sklearn.model_selection import train_test_split

    everything = np.arange(len(targets))
    groups = everything if groups is None else groups
    rows = random_state.permutation(len(targets))
    # The first row of each class, in random order, stays in training, with its group.
    _, first = np.unique(targets[rows], return_index=True)
    rest = rows[~np.isin(groups[rows], groups[rows[first]])]
    free = groups[rest][np.sort(np.unique(groups[rest], return_index=True)[1])]
    n_held_out = min(len(free), round(fraction * len(np.unique(groups))))
    if n_held_out == 0:
        return everything, np.array([], dtype=int)
    if n_held_out < len(free):
        _, free = train_test_split(free, test_size=n_held_out, random_state=random_state)
    is_held_out = np.isin(groups, free)
    return everything[~is_held_out], everything[is_held_out]


def p_values(scores: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Conformal p-values of scores against those of calibration images ([2]_).

    Parameters
    ----------
    scores : ndarray of shape (n,)
    reference : ndarray of shape (m,), sorted
        Scores of the calibration images.

    Returns
    -------
    ndarray of shape (n,)
        (1 + the number of calibration scores that are not larger) / (m + 1): for a new ID image at most
        alpha with a chance of at most alpha.
    """
    return (1 + np.searchsorted(reference, scores, side="right")) / (len(reference) + 1)


def relative_ranks(scores: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The place of scores among calibration scores, in (0, 1), with no ranking lost.

    Linear between calibration scores; outside them with r the rank of the nearest one, e the distance to
    it and w its distance to their median, r / (1 + e / w) below and the mirror image of it above.

    Parameters
    ----------
    scores : ndarray of shape (n,)
    reference : ndarray of shape (m,), sorted
        Scores of the calibration images.

    Returns
    -------
    ndarray of shape (n,)
    """
    distinct, first, counts = np.unique(reference, return_index=True, return_counts=True)
    places = (first + (counts + 1) / 2) / (len(reference) + 1)
    middle = float(np.median(reference))
    inside = np.interp(scores, distinct, places)
    below = np.maximum(distinct[0] - scores, 0) / ((middle - distinct[0]) or 1.0)
    above = np.maximum(scores - distinct[-1], 0) / ((distinct[-1] - middle) or 1.0)
    return np.where(above > 0, 1 - (1 - places[-1]) / (1 + above), inside / (1 + below))
