"""A detector in production: the share of images that it rejects, and an alarm when they have changed."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.stats import beta

from .._forks import ForkLock
from .._utils import check_between
from ..errors import InputError
from ..inspection._tables import _frame
from ._martingale import Martingale


@dataclass(frozen=True, eq=False)
class Alarm:
    """Images are no longer those of the known classes.

    Attributes
    ----------
    row : int
        The image at which it went off, counted from 0.
    since : int
        The image from which on they have changed, most likely.
    rows : ndarray of shape (m,), int
        Rejected images from then on, the most unusual first: those that made the alarm.
    items : list or None
        What was given for them, such as paths; None where embeddings were.
    """

    row: int
    since: int
    rows: np.ndarray
    items: list[Any] | None


class DriftMonitor:
    """Watches the images that a fitted detector answers, and gives an alarm when they have changed.

    The alarm is a sequential test (`Martingale`): it may be looked at after every image, for ever. While
    the images are of the known classes, and new ones are like those that have set the detector's threshold,
    in any order, the chance that there is ever an alarm is at most `false_alarm`.

    Parameters
    ----------
    detector : fitted detector
        With the `calibration_scores_` of images that it has not learned from, or of ones scored without
        themselves, as by default: the more of them, the sooner a small change is found.
    false_alarm : float, default=0.01
        The chance that there is ever a false alarm.
    random_state : int, RandomState instance or None, default=0

    Attributes
    ----------
    alarm_ : Alarm or None
        The first one; it stays until `reset`.
    scores_, decisions_, p_values_, log_evidence_ : ndarray of shape (n,)
        Of each image so far: what the detector answers, the p-value among all images before it, and
        the logarithm of the evidence after it; an alarm goes off at ``log(1 / false_alarm)``.

    Notes
    -----
    Memory grows by about 100 bytes an image. One monitor may be used by many threads. A detector that is
    fitted or calibrated anew needs a new monitor.

    Examples
    --------
    >>> from skneg import KNNDetector, CLIPImageEncoder
    >>> from skneg.datasets import make_scenes
    >>> from skneg.monitoring import DriftMonitor
    >>> encoder = CLIPImageEncoder(model="skneg-tiny")
    >>> X, y = make_scenes(120, shapes=["star", "heart", "key"], random_state=0)
    >>> detector = KNNDetector().fit(encoder.transform(X), y)
    >>> monitor = DriftMonitor(detector)
    >>> same, _ = make_scenes(60, shapes=["star", "heart", "key"], random_state=1)
    >>> monitor.update(encoder.transform(same)).alarm_ is None
    True
    >>> other, _ = make_scenes(60, shapes=["fish", "tree", "ladder"], random_state=1)
    >>> alarm = monitor.update(encoder.transform(other)).alarm_
    >>> bool(55 <= alarm.since <= alarm.row < 90)
    True
    """

    def __init__(self, detector: Any, *, false_alarm: float = 0.01, random_state: Any = 0) -> None:
        check_between("false_alarm", false_alarm, 0, 1)
        self.detector = detector
        self.false_alarm = false_alarm
        self.random_state = random_state
        self._lock = ForkLock()
        self.reset()

    def __getstate__(self) -> dict[str, Any]:
        with self._lock.held():
            return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=ForkLock())

    def reset(self) -> Self:
        """Begin anew, such as after an alarm whose cause is known."""
        with self._lock.held():
            self._martingale = Martingale(self.detector.calibration_scores_, self.random_state)
            # They grow in place: a service looks at one image at a time.
            self._scores, self._p_values, self._evidence = array("d"), array("d"), array("d")
            self.alarm_: Alarm | None = None
            self._items: list[Any] | None = []
        return self

    def update(self, X: Any) -> Self:
        """Look at more images, in the order in which they came.

        Parameters
        ----------
        X : images or embeddings, as in `fit`

        Returns
        -------
        self
        """
        return self.update_scores(self.detector.score_samples(X), None if _is_array(X) else list(X))

    def update_scores(self, scores: np.ndarray, items: Sequence[Any] | None = None) -> Self:
        """The same where the scores are there, such as those of `predict_stream`.

        Parameters
        ----------
        scores : array-like of shape (n,)
        items : sequence of length n, optional
            What to call the images, such as their paths.
        """
        if items is not None and len(items) != np.size(scores):
            raise InputError(f"there are {np.size(scores)} scores and {len(items)} items; give one for each.")
        with self._lock.held():
            begin = len(self._scores)
            p_values, evidence = self._martingale.update(scores)
            for column, values in (
                (self._scores, np.asarray(scores, dtype=np.float64)),
                (self._p_values, p_values),
                (self._evidence, evidence),
            ):
                column.extend(values.tolist())
            if items is None:
                self._items = None
            elif self._items is not None:
                self._items.extend(items)
            above = np.flatnonzero(evidence >= -np.log(self.false_alarm))
            if self.alarm_ is None and len(above):
                self.alarm_ = self._alarm(begin + int(above[0]))
        return self

    @property
    def scores_(self) -> np.ndarray:
        return np.array(self._scores)

    @property
    def decisions_(self) -> np.ndarray:
        return self.scores_ - self.detector.offset_

    @property
    def p_values_(self) -> np.ndarray:
        return np.array(self._p_values)

    @property
    def log_evidence_(self) -> np.ndarray:
        return np.array(self._evidence)

    def share_rejected(self, last: int | None = None, confidence: float = 0.95) -> tuple[float, float, float]:
        """The share of images that the detector rejects, with its interval.

        Parameters
        ----------
        last : int, optional
            Of so many last images; of all by default.
        confidence : float, default=0.95
            Of the interval (Clopper and Pearson): exact for independent images, and one look.

        Returns
        -------
        share, low, high : float
            NaN, 0 and 1 without an image. Of known images it is about the detector's `contamination`.
        """
        check_between("confidence", confidence, 0, 1)
        rejected = (self.decisions_ < 0)[-last if last else None :]
        n, k, tail = len(rejected), int(rejected.sum()), (1 - confidence) / 2
        low = float(beta.ppf(tail, k, n - k + 1)) if k else 0.0
        high = float(beta.ppf(1 - tail, k + 1, n - k)) if k < n else 1.0
        return (k / n if n else np.nan), low, high

    def to_frame(self) -> Any:
        """A pandas table with a row for each image so far."""
        return _frame(
            {
                "score": self.scores_,
                "rejected": self.decisions_ < 0,
                "p_value": self.p_values_,
                "log_evidence": self.log_evidence_,
            }
        )

    def to_prometheus(self, prefix: str = "skneg") -> str:
        """The counts, the evidence and the alarm in the text format of Prometheus."""
        figures = {
            "images_total": ("counter", "Images answered", len(self._scores)),
            "rejected_total": ("counter", "Images rejected as unknown", int((self.decisions_ < 0).sum())),
            "drift_log_evidence": (
                "gauge",
                "Logarithm of the evidence that images have changed",
                self._martingale.log_evidence,
            ),
            "drift_alarm": ("gauge", "1 once images have changed", int(self.alarm_ is not None)),
        }
        lines = []
        for name, (kind, told, value) in figures.items():
            lines += [
                f"# HELP {prefix}_{name} {told}.",
                f"# TYPE {prefix}_{name} {kind}",
                f"{prefix}_{name} {value}",
            ]
        return "\n".join(lines) + "\n"

    def _alarm(self, row: int) -> Alarm:
        since = self._martingale.onset(self.p_values_[: row + 1])
        rows = np.arange(since, row + 1)
        scores = self.scores_[rows]
        order = np.argsort(scores, kind="stable")
        rows = rows[order[scores[order] < self.detector.offset_]]
        return Alarm(row, since, rows, None if self._items is None else [self._items[i] for i in rows])


def _is_array(X: Any) -> bool:
    return isinstance(X, np.ndarray) and X.dtype.kind == "f"
