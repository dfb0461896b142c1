"""A detector in production: the share of images that it rejects, and an alarm when they have changed."""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Self

import numpy as np
from scipy.stats import binomtest

from .._forks import ForkLock
from .._utils import check_at_least, check_between, check_kind
from ..errors import InputError
from ..inspection._explain import one_detector
from ..inspection._tables import _frame
from ..streams import predict_stream
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
    items : list
        What these images are called, such as their paths; None for those that have no name.
    """

    row: int
    since: int
    rows: np.ndarray
    items: list[Any]


class DriftMonitor:
    """Watches the images that a fitted detector answers, and gives an alarm when they have changed.

    The alarm is a sequential test (`Martingale`): it may be looked at after every image, for ever. While
    the images are of the known classes, and new ones are like those that have set the detector's threshold,
    in any order, the chance that there is ever an alarm is at most `false_alarm`. That holds exactly
    where these images had no part in training (`calibrate`, ``calibration="holdout"``), and about where
    each was scored without itself, as by default.

    Parameters
    ----------
    detector : fitted detector
        Or a fitted Pipeline that ends in one, or a search over either. The more images have set its
        threshold, the sooner a small change is found.
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
    Memory grows by about 100 bytes an image, and its path. One monitor may be used by many threads. It
    compares with the threshold that the detector had at first; ``reset()`` takes a new one.

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
            state = one_detector(self.detector, "DriftMonitor")[0]._fitted()
            self._martingale = Martingale(state.calibration_scores_, self.random_state)
            self._offset = state.offset_
            # They grow in place: a service looks at one image at a time.
            self._scores, self._p_values, self._evidence = array("d"), array("d"), array("d")
            self.alarm_: Alarm | None = None
            self._items: list[Any] = []
        return self

    def update(self, X: Any, *, on_error: str = "raise") -> Self:
        """Look at more images, in the order in which they came.

        Parameters
        ----------
        X : images or embeddings, as `skneg.streams.predict_stream` takes them
        on_error : {"raise", "skip"}, default="raise"
            What to do with an image that cannot be read; with ``"skip"`` it does not count.

        Returns
        -------
        self

        Raises
        ------
        ImageError
            If images cannot be read. What came before their chunk has been looked at.
        """
        for table in predict_stream(self.detector, X, on_error=on_error):
            is_read = np.isfinite(table.score)
            paths = None if table.path is None else table.path[is_read].tolist()
            self.update_scores(table.score[is_read], paths)
        return self

    def update_scores(self, scores: np.ndarray, items: Sequence[Any] | None = None) -> Self:
        """The same where the scores are there, such as those of `predict_stream`.

        Parameters
        ----------
        scores : array-like of shape (n,)
        items : sequence of length n, optional
            What the images are called, such as their paths.
        """
        names = [None] * np.size(scores) if items is None else list(items)
        if len(names) != np.size(scores):
            raise InputError(f"there are {np.size(scores)} scores and {len(names)} items; give one for each.")
        with self._lock.held():
            begin = len(self._scores)
            p_values, evidence = self._martingale.update(scores)
            self._scores.extend(np.asarray(scores, dtype=np.float64).tolist())
            self._p_values.extend(p_values.tolist())
            self._evidence.extend(evidence.tolist())
            self._items.extend(names)
            above = np.flatnonzero(evidence >= -np.log(self.false_alarm))
            if self.alarm_ is None and len(above):
                self.alarm_ = self._alarm(begin + int(above[0]))
        return self

    @property
    def scores_(self) -> np.ndarray:
        return self._copied(self._scores)

    @property
    def decisions_(self) -> np.ndarray:
        return self.scores_ - self._offset

    @property
    def p_values_(self) -> np.ndarray:
        return self._copied(self._p_values)

    @property
    def log_evidence_(self) -> np.ndarray:
        return self._copied(self._evidence)

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
        if last is not None:
            check_at_least("last", last, 1, Integral)
        rejected = (self.decisions_ < 0)[-last if last else None :]
        if len(rejected) == 0:
            return np.nan, 0.0, 1.0
        test = binomtest(int(rejected.sum()), len(rejected))
        interval = test.proportion_ci(confidence)
        return float(test.statistic), float(interval.low), float(interval.high)

    def to_frame(self) -> Any:
        """A pandas table with a row for each image so far."""
        with self._lock.held():  # columns of one length
            return _frame(
                {
                    "score": self.scores_,
                    "rejected": self.decisions_ < 0,
                    "p_value": self.p_values_,
                    "log_evidence": self.log_evidence_,
                }
            )

    def to_prometheus(self, prefix: str = "skneg", last: int = 1000) -> str:
        """Counts, the share of rejected images, the evidence and the alarm in Prometheus' text format 0.0.4.

        Parameters
        ----------
        prefix : str, default="skneg"
            Of the names.
        last : int, default=1000
            Of so many last images is the share, with its interval; see `share_rejected`.

        Examples
        --------
        >>> import numpy as np
        >>> from skneg import KNNDetector
        >>> rng = np.random.default_rng(0)
        >>> detector = KNNDetector().fit(rng.normal(size=(40, 8)), ["good"] * 40)
        >>> DriftMonitor(detector).to_prometheus().splitlines()[2]
        'skneg_images_total 0'
        """
        check_kind("prefix", prefix, str)
        if not re.fullmatch("[a-zA-Z_:][a-zA-Z0-9_:]*", prefix):
            raise InputError(f"prefix={prefix!r} must be letters, digits and underscores, no digit first.")
        with self._lock.held():
            counts = len(self._scores), int((self.decisions_ < 0).sum())
            share, low, high = self.share_rejected(last)
            evidence, alarm = self._martingale.log_evidence, int(self.alarm_ is not None)
        figures: dict[str, tuple[str, str, float]] = {
            "images_total": ("counter", "Images answered", counts[0]),
            "rejected_total": ("counter", "Images rejected as unknown", counts[1]),
            "rejected_share": ("gauge", f"Share rejected of the last {last} images", share),
            "rejected_share_low": ("gauge", "Its 95 % interval from", low),
            "rejected_share_high": ("gauge", "Its 95 % interval to", high),
            "drift_log_evidence": ("gauge", "Logarithm of the evidence that images have changed", evidence),
            "drift_alarm": ("gauge", "1 once images have changed", alarm),
        }
        lines = []
        for name, (kind, told, value) in figures.items():
            lines += [
                f"# HELP {prefix}_{name} {told}.",
                f"# TYPE {prefix}_{name} {kind}",
                f"{prefix}_{name} {'NaN' if np.isnan(value) else value}",
            ]
        return "\n".join(lines) + "\n"

    def _alarm(self, row: int) -> Alarm:
        since = self._martingale.onset(self.p_values_[: row + 1])
        scores = self.scores_[since : row + 1]
        order = np.argsort(scores, kind="stable")
        rows = since + order[scores[order] < self._offset]
        return Alarm(row, since, rows, [self._items[i] for i in rows])

    def _copied(self, column: array) -> np.ndarray:
        with self._lock.held():  # an array that is looked at cannot grow
            return np.array(column)
