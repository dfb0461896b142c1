"""Histograms of the scores of known and unknown images."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .._utils import check_at_least
from ..errors import InputError
from ..metrics._ranking import check_scores
from ._display import GREY, Display, repeat_names, styles
from ._sets import ID, by_set, fitted_detector, named, need

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


class ScoreHistogramDisplay(Display):
    """Histograms of the scores of in-distribution (ID) and out-of-distribution (OOD) images.

    Use `from_estimator` or `from_predictions`.

    Parameters
    ----------
    scores : mapping of str to array-like of shape (n,)
        The scores of each set of images; the first set is the known classes'.
    offset : float, optional
        The threshold: images with smaller scores are rejected.

    Attributes
    ----------
    scores : dict of str to ndarray of shape (n,), float64
    ax_, figure_ : matplotlib Axes and Figure
    bars_ : dict of str to matplotlib StepPatch
        The outline of each set.
    threshold_ : matplotlib Line2D or None

    Raises
    ------
    InputError
        If a set is empty or holds NaN.

    See Also
    --------
    OODRocDisplay : The same scores at every threshold.

    Examples
    --------
    >>> from matplotlib import pyplot as plt
    >>> from skneg import MCMDetector
    >>> from skneg.datasets import make_scenes
    >>> from skneg.plotting import ScoreHistogramDisplay
    >>> X, y = make_scenes(40, shapes=["star", "heart"], random_state=0)
    >>> fish, _ = make_scenes(20, shapes=["fish"], random_state=1)
    >>> detector = MCMDetector(model="skneg-tiny").fit(X, y)
    >>> display = ScoreHistogramDisplay.from_estimator(detector, X, y, ood={"fish": fish})
    >>> display.frame().groupby("set").size().to_dict()
    {'ID': 40, 'fish': 20}
    >>> plt.close(display.figure_)
    """

    def __init__(self, scores: Mapping[str, Any], *, offset: float | None = None) -> None:
        if not scores:
            raise InputError("scores holds no set; give at least the known classes' scores.")
        self.scores = {name: check_scores(values, f"scores[{name!r}]") for name, values in scores.items()}
        self.offset = offset

    @classmethod
    def from_estimator(
        cls, detector: Any, X: Any, y: Any = None, *, ood: Any = None, ax: Axes | None = None, bins: int = 30
    ) -> Self:
        """Score images and draw.

        Parameters
        ----------
        detector : fitted detector
            Or a fitted Pipeline that ends in one, or a search over either.
        X : sequence of images, or array-like of shape (n, d) of floats
            What the detector takes.
        y : array-like of shape (n,), optional
            Labels: rows with the detector's unknown label are OOD images. Without it all are ID.
        ood : mapping of str to X, or X, optional
            Sets of OOD images by name, or one set.
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.
        bins : int, default=30
            Number of bins, shared by all sets.

        Returns
        -------
        ScoreHistogramDisplay

        Raises
        ------
        MissingDependencyError
            If matplotlib is not installed.
        InputError, InputTypeError
            If a label is neither a class nor the unknown label, or the detector gives no scores.
        """
        cls._require_matplotlib()
        detector, prepare = fitted_detector(detector)
        score_samples = need(detector, "score_samples", cls.__name__, "use from_predictions.")
        scores = by_set(detector, lambda images: score_samples(prepare(images)), X, y, ood)
        return cls(scores, offset=getattr(detector, "offset_", None)).plot(ax, bins=bins)

    @classmethod
    def from_predictions(
        cls,
        scores_id: Any,
        scores_ood: Any = None,
        *,
        offset: float | None = None,
        ax: Axes | None = None,
        bins: int = 30,
    ) -> Self:
        """Draw scores.

        Parameters
        ----------
        scores_id : array-like of shape (n,)
            Scores of ID images, from `score_samples`.
        scores_ood : mapping of str to array-like of shape (m,), or array-like of shape (m,), optional
            Scores of OOD images, of several sets by name or of one set.
        offset : float, optional
            The threshold, such as ``detector.offset_``.
        ax, bins
            See `from_estimator`.

        Returns
        -------
        ScoreHistogramDisplay
        """
        return cls({ID: scores_id, **named(scores_ood)}, offset=offset).plot(ax, bins=bins)

    def plot(self, ax: Axes | None = None, *, bins: int = 30) -> Self:
        """Draw the histograms; the legend says which share of each set is accepted as known.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.
        bins : int, default=30
            Number of bins, shared by all sets. Infinite scores are counted in the outermost ones.

        Returns
        -------
        self
        """
        ax = self._start(ax)
        pooled = np.concatenate(list(self.scores.values()))
        finite = pooled[np.abs(pooled) < np.finfo(np.float64).max]
        check_at_least("bins", bins, 1, Integral)
        edges = np.histogram_bin_edges(finite, bins)
        self.bars_: dict[str, Any] = {}
        for name, style in styles(self.scores).items():
            scores = self.scores[name]
            counts, _ = np.histogram(np.clip(scores, edges[0], edges[-1]), edges)
            share = 100 * counts / len(scores)
            if not self.bars_:  # fills of several sets would mix to colours that mean nothing
                ax.stairs(share, edges, fill=True, color=style.color, alpha=0.2)
            self.bars_[name] = ax.stairs(
                share, edges, color=style.color, linestyle=style.line, linewidth=1.8, label=self._label(name)
            )
        self.threshold_ = None
        if self.offset is not None:
            self.threshold_ = ax.axvline(self.offset, color=GREY, linewidth=1.2)
            ax.annotate(
                "unknown \N{LEFTWARDS ARROW} | \N{RIGHTWARDS ARROW} known",
                (self.offset, 1.01),
                xycoords=("data", "axes fraction"),
                ha="center",
                va="bottom",
                color=GREY,
            )
        ax.set(xlabel="score (larger = more in-distribution)", ylabel="images of the set per bin [%]")
        ax.set_ylim(bottom=0)
        # Above the axes and the word on the threshold: inside, it would lie on the bars of many sets.
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.05), ncols=2, frameon=False)
        return self

    def frame(self) -> pd.DataFrame:
        """One row for each image: ``set``, ``score`` and, with a threshold, ``accepted``.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed.
        """
        scores = np.concatenate(list(self.scores.values()))
        columns: dict[str, Any] = {"set": repeat_names(self.scores), "score": scores}
        if self.offset is not None:
            columns["accepted"] = scores >= self.offset
        return self._as_frame(columns)

    def _label(self, name: str) -> str:
        if self.offset is None:
            return name
        return f"{name}: {100 * np.mean(self.scores[name] >= self.offset):.1f} % accepted"
