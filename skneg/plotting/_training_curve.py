"""What each term of the loss did while prompts were learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..errors import InputError
from ._display import BLACK, BLUE, Display
from ._sets import fitted_detector, need

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


class TrainingCurveDisplay(Display):
    """Every term of the loss at every step of prompt learning, a column of panels for each stage.

    Terms differ by orders of magnitude, so each has a scale of its own; they are weighted as in the total.

    Use `from_estimator` or `from_predictions`.

    Parameters
    ----------
    history : mapping of str to array-like of shape (steps,)
        Terms of the loss, under ``"<stage>/<term>"`` or ``"<term>"``; see
        ``NegPromptDetector.history_``.

    Attributes
    ----------
    history : dict of str to ndarray of shape (steps,)
    stages : dict of str to dict of str to ndarray
        The same by stage and term.
    ax_ : matplotlib Axes
        The space that the panels share; without axes of its own.
    axes_ : dict of str to matplotlib Axes
        The panels, under the keys of `history`; a total that repeats the only term has none.
    figure_ : matplotlib Figure
    lines_ : dict of str to matplotlib Line2D
        The curves, under the same keys.

    Raises
    ------
    InputError
        If the history holds no step.

    Examples
    --------
    >>> from matplotlib import pyplot as plt
    >>> from skneg import NegPromptDetector, PromptRecipe
    >>> from skneg.datasets import make_scenes
    >>> from skneg.plotting import TrainingCurveDisplay
    >>> X, y = make_scenes(100, shapes=["star", "heart"], random_state=0)
    >>> recipe = PromptRecipe(negative_steps=20)
    >>> detector = NegPromptDetector(model="skneg-tiny", recipe=recipe, random_state=0).fit(X, y)
    >>> display = TrainingCurveDisplay.from_estimator(detector)
    >>> list(display.axes_)[:4]
    ['positive/cross_entropy', 'positive/anchor', 'positive/total', 'negative/nis']
    >>> display.frame().columns.tolist()
    ['stage', 'term', 'step', 'value']
    >>> plt.close(display.figure_)
    """

    def __init__(self, history: Mapping[str, Any]) -> None:
        self.history = {name: np.asarray(values, dtype=np.float64) for name, values in history.items()}
        self.stages: dict[str, dict[str, np.ndarray]] = {}
        for name, values in self.history.items():
            if values.ndim != 1:
                raise InputError(f"history[{name!r}] must be 1-D, one value per step; got {values.shape}.")
            stage, _, term = name.rpartition("/")
            if len(values):
                self.stages.setdefault(stage, {})[term] = values
        if not self.stages:
            raise InputError("the history holds no step: nothing was trained.")

    @classmethod
    def from_estimator(
        cls, detector: Any, X: Any = None, y: Any = None, *, ood: Any = None, ax: Axes | None = None
    ) -> Self:
        """Draw the history of a detector that learned prompts.

        Parameters
        ----------
        detector : fitted detector
            Or a fitted Pipeline that ends in one, or a search over either.
        X, y, ood : ignored
            So that all displays are called alike.
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        TrainingCurveDisplay

        Raises
        ------
        MissingDependencyError
            If matplotlib is not installed.
        InputTypeError
            If the detector has no ``history_``.
        """
        cls._require_matplotlib()
        detector, _ = fitted_detector(detector)
        hint = "only detectors that learn prompts have one, see skneg.list_detectors()."
        return cls(need(detector, "history_", cls.__name__, hint)).plot(ax)

    @classmethod
    def from_predictions(cls, history: Mapping[str, Any], *, ax: Axes | None = None) -> Self:
        """Draw a history.

        Parameters
        ----------
        history : mapping of str to array-like of shape (steps,)
            Terms of the loss, under ``"<stage>/<term>"`` or ``"<term>"``.
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        TrainingCurveDisplay
        """
        return cls(history).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw a column for each stage and in it a panel for each term.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            The space to divide among the panels, made by `subplots` or `add_subplot`; a new figure by
            default.

        Returns
        -------
        self
        """
        stages = {stage: _distinct(terms) for stage, terms in self.stages.items()}
        n_rows = max(map(len, stages.values()))
        columns = self._divide(ax, (6.4, 1.2 + 1.2 * n_rows), 1, len(stages))
        from matplotlib.ticker import MaxNLocator

        self.axes_, self.lines_ = {}, {}
        for column, (stage, terms) in enumerate(stages.items()):
            rows = columns[column].subgridspec(len(terms), 1)
            panels = [self.figure_.add_subplot(rows[row]) for row in range(len(terms))]
            for panel, (term, values) in zip(panels, terms.items(), strict=True):
                key = f"{stage}/{term}" if stage else term
                steps = np.arange(1, len(values) + 1)
                width = 1.8 if len(values) <= 200 else 0.8
                color = BLACK if term == "total" else BLUE
                (self.lines_[key],) = panel.plot(steps, values, color=color, linewidth=width)
                if len(values) == 1:
                    self.lines_[key].set_marker("o")
                panel.set_ylabel(term.replace("_", "\n"))
                panel.sharex(panels[-1])
                panel.tick_params(labelbottom=panel is panels[-1])
                self.axes_[key] = panel
            panels[0].set_title(f"{stage} stage: loss terms" if stage else "loss terms", fontsize="medium")
            panels[-1].set_xlabel("training step")
            panels[-1].xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
            self.figure_.align_ylabels(panels)
        return self

    def frame(self) -> pd.DataFrame:
        """One row for each term and step: ``stage``, ``term``, ``step`` (from 1) and ``value``.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed.
        """
        rows = [
            (stage, term, values) for stage, terms in self.stages.items() for term, values in terms.items()
        ]
        sizes = [len(values) for _, _, values in rows]
        return self._as_frame(
            {
                "stage": np.repeat([stage for stage, _, _ in rows], sizes),
                "term": np.repeat([term for _, term, _ in rows], sizes),
                "step": np.concatenate([np.arange(1, size + 1) for size in sizes]),
                "value": np.concatenate([values for _, _, values in rows]),
            }
        )


def _distinct(terms: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Without the total where it is the only term once more."""
    return {term: values for term, values in terms.items() if term != "total" or len(terms) != 2}
