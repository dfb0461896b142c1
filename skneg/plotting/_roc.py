"""ROC curves of known images against sets of unknown ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from sklearn.metrics import roc_curve

from ..errors import InputError
from ..metrics import auroc, fpr_at_tpr
from ..metrics._ranking import check_scores
from ._display import GREY, Display, repeat_names, styles
from ._sets import ID, by_set, fitted_detector, named, need

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


class RocCurve(NamedTuple):
    """ROC of the known classes against one set of OOD images; rates in [0, 1].

    Attributes
    ----------
    fpr, tpr : ndarray of shape (n_thresholds,)
        Share of OOD and of ID images accepted.
    thresholds : ndarray of shape (n_thresholds,)
        Images are accepted from this score on; the first is infinite.
    auroc, fpr_at_tpr : float
        As of `skneg.metrics`.
    """

    fpr: np.ndarray
    tpr: np.ndarray
    thresholds: np.ndarray
    auroc: float
    fpr_at_tpr: float


class OODRocDisplay(Display):
    """ROC of in-distribution (ID) images, the positives, against one or several sets of OOD images.

    Use `from_estimator` or `from_predictions`.

    Parameters
    ----------
    scores_id : array-like of shape (n,)
    scores_ood : mapping of str to array-like of shape (m,)
    tpr : float, default=0.95
        The recall of ID images at which the false-positive rate is marked.

    Attributes
    ----------
    curves : dict of str to RocCurve
        For each OOD set: ``fpr``, ``tpr``, ``thresholds``, ``auroc`` and ``fpr_at_tpr``.
    ax_, figure_ : matplotlib Axes and Figure
    lines_ : dict of str to matplotlib Line2D
        The curves.
    marks_ : dict of str to matplotlib Line2D
        The points at `tpr`.

    Raises
    ------
    InputError
        If there is no OOD set, a set is empty or holds NaN, or `tpr` is not in (0, 1].

    See Also
    --------
    skneg.metrics.fpr_at_tpr : The marked number.

    Examples
    --------
    >>> from matplotlib import pyplot as plt
    >>> from skneg.plotting import OODRocDisplay
    >>> display = OODRocDisplay.from_predictions([2, 3, 4, 5], {"near": [1, 2.5], "far": [0, 0.5]})
    >>> display.frame(summary=True)
        set  n_id  n_ood  auroc   tpr  fpr
    0  near     4      2  0.875  0.95  0.5
    1   far     4      2  1.000  0.95  0.0
    >>> plt.close(display.figure_)
    """

    def __init__(self, scores_id: Any, scores_ood: Mapping[str, Any], *, tpr: float = 0.95) -> None:
        if not scores_ood:
            raise InputError(
                "there are no OOD images to tell from ID ones: pass them as `ood`, or as rows of X whose "
                "y is the detector's unknown label."
            )
        self.scores_id = check_scores(scores_id, "scores_id")
        self.scores_ood = {
            name: check_scores(scores, f"scores_ood[{name!r}]") for name, scores in scores_ood.items()
        }
        self.tpr = tpr
        self.curves = {name: self._curve(scores) for name, scores in self.scores_ood.items()}

    @classmethod
    def from_estimator(
        cls, detector: Any, X: Any, y: Any = None, *, ood: Any = None, ax: Axes | None = None,
        tpr: float = 0.95,
    ) -> Self:  # fmt: skip
        """Score images and draw.

        Parameters
        ----------
        detector, X, y, ood, ax
            See `ScoreHistogramDisplay.from_estimator`; some images must be OOD.
        tpr : float, default=0.95
            The recall of ID images at which the false-positive rate is marked.

        Returns
        -------
        OODRocDisplay
        """
        cls._require_matplotlib()
        detector, prepare = fitted_detector(detector)
        score_samples = need(detector, "score_samples", cls.__name__, "use from_predictions.")
        scores = by_set(detector, lambda images: score_samples(prepare(images)), X, y, ood)
        return cls(scores.pop(ID), scores, tpr=tpr).plot(ax)

    @classmethod
    def from_predictions(
        cls, scores_id: Any, scores_ood: Any, *, tpr: float = 0.95, ax: Axes | None = None
    ) -> Self:
        """Draw the curves of scores.

        Parameters
        ----------
        scores_id : array-like of shape (n,)
            Scores of ID images, from `score_samples`.
        scores_ood : mapping of str to array-like of shape (m,), or array-like of shape (m,)
            Scores of OOD images, of several sets by name or of one set.
        tpr, ax
            See `from_estimator`.

        Returns
        -------
        OODRocDisplay
        """
        return cls(scores_id, named(scores_ood), tpr=tpr).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the curves, with AUROC and false-positive rate in the legend.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        self
        """
        ax = self._start(ax, (5.6, 5.2))
        ax.axhline(100 * self.tpr, color=GREY, linewidth=0.8)
        ax.plot([0, 100], [0, 100], color=GREY, linewidth=0.8, linestyle=(0, (1, 4)))
        self.lines_, self.marks_ = {}, {}
        for name, style in list(styles([ID, *self.curves]).items())[1:]:
            curve = self.curves[name]
            label = (
                f"{name}: AUROC {100 * curve.auroc:.1f} %, FPR{100 * self.tpr:g} "
                f"{100 * curve.fpr_at_tpr:.1f} %"
            )
            (self.lines_[name],) = ax.plot(
                100 * curve.fpr, 100 * curve.tpr, color=style.color, linestyle=style.line, linewidth=1.8
            )
            at = int(np.argmax(curve.tpr >= self.tpr))
            (self.marks_[name],) = ax.plot(
                100 * curve.fpr[at],
                100 * curve.tpr[at],
                color=style.color,
                linestyle=style.line,
                linewidth=1.8,
                marker=style.marker,
                markersize=8,
                markeredgecolor="white",
                clip_on=False,
                zorder=3,
                label=label,
            )
        ax.set(
            xlabel="OOD images accepted (false positives) [%]",
            ylabel="ID images accepted (true positives) [%]",
            xlim=(-1, 101),
            ylim=(-1, 101),
            aspect="equal",
        )
        ax.legend(loc="lower right", edgecolor="none")
        return self

    def frame(self, summary: bool = False) -> pd.DataFrame:
        """The curves, one row for each threshold, or one row for each OOD set.

        Parameters
        ----------
        summary : bool, default=False
            False: columns ``set``, ``threshold``, ``fpr``, ``tpr``. True: ``set``, ``n_id``, ``n_ood``,
            ``auroc``, ``tpr`` and the ``fpr`` there.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed.
        """
        curves = list(self.curves.values())
        if summary:
            return self._as_frame(
                {
                    "set": list(self.curves),
                    "n_id": len(self.scores_id),
                    "n_ood": [len(scores) for scores in self.scores_ood.values()],
                    "auroc": [curve.auroc for curve in curves],
                    "tpr": self.tpr,
                    "fpr": [curve.fpr_at_tpr for curve in curves],
                }
            )
        return self._as_frame(
            {
                "set": repeat_names({name: curve.fpr for name, curve in self.curves.items()}),
                "threshold": np.concatenate([curve.thresholds for curve in curves]),
                "fpr": np.concatenate([curve.fpr for curve in curves]),
                "tpr": np.concatenate([curve.tpr for curve in curves]),
            }
        )

    def _curve(self, scores_ood: np.ndarray) -> RocCurve:
        is_id = np.repeat([1, 0], [len(self.scores_id), len(scores_ood)])
        scores = np.concatenate([self.scores_id, scores_ood])
        fpr, tpr, thresholds = roc_curve(is_id, scores, drop_intermediate=False)
        return RocCurve(
            fpr,
            tpr,
            thresholds,
            auroc(self.scores_id, scores_ood),
            fpr_at_tpr(self.scores_id, scores_ood, self.tpr),
        )
