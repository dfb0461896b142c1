"""What the displays share: axes to draw on, styles that need no colour vision, frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._utils import require
from ..errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Style(NamedTuple):
    """How one set of images looks: the line and the marker say what the colour says."""

    color: str
    line: Any
    marker: str


# Colours of Okabe and Ito, "Color Universal Design", 2008. Blue is the known classes' everywhere.
BLUE, VERMILLION, ORANGE, GREEN, PURPLE, YELLOW, BLACK = (
    "#0072B2", "#D55E00", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#000000",
)  # fmt: skip
GREY = "#666666"
# In this order the first three differ in lightness too.
_COLORS = (VERMILLION, BLACK, ORANGE, GREEN, PURPLE)
_LINES = ("--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)))
_MARKERS = ("^", "s", "D", "v", "P", "<", ">")


def styles(names: Iterable[str]) -> dict[str, Style]:
    """A style for each set, the known classes' first."""
    first, *others = names
    chosen = {first: Style(BLUE, "-", "o")}
    # The cycles differ in length, so that no style comes back before 140 sets.
    for i, name in enumerate(others):
        chosen[name] = Style(_COLORS[i % 5], _LINES[i % 4], _MARKERS[i % 7])
    return chosen


class Display:
    """Base class of the displays.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where `plot` drew last.
    figure_ : matplotlib Figure
    """

    ax_: Axes
    figure_: Figure

    def frame(self) -> pd.DataFrame:
        """The numbers; each display says which."""
        raise NotImplementedError

    @classmethod
    def _require_matplotlib(cls) -> None:
        """To be called before anything is computed for a picture."""
        require("matplotlib", cls.__name__)

    def _start(self, ax: Axes | None, figsize: tuple[float, float] = (6.4, 4.4)) -> Axes:
        self._require_matplotlib()
        if ax is None:
            from matplotlib import pyplot as plt

            ax = plt.subplots(figsize=figsize, layout="constrained")[1]
        self.ax_ = ax
        self.figure_ = ax.figure  # type: ignore[assignment]
        return ax

    def _divide(self, ax: Axes | None, figsize: tuple[float, float], n_rows: int, n_columns: int) -> Any:
        """A grid of panels in the place of the axes, as matplotlib's GridSpec."""
        ax = self._start(ax, figsize)
        space = ax.get_subplotspec()
        if space is None:
            raise InputError(
                "ax has no place in a grid, so it cannot be divided among the panels: make it with "
                "subplots or add_subplot."
            )
        ax.set_axis_off()
        return space.subgridspec(n_rows, n_columns)

    def _as_frame(self, columns: Mapping[str, Any]) -> pd.DataFrame:
        return require("pandas", f"{type(self).__name__}.frame").DataFrame(dict(columns))


def repeat_names(sets: Mapping[str, np.ndarray]) -> np.ndarray:
    """The name of each row's set, for the sets one after the other."""
    return np.repeat(np.array(list(sets), dtype=object), [len(values) for values in sets.values()])
