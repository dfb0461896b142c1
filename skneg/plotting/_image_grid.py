"""The images that look least like the known classes, side by side."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

from PIL import Image
from sklearn.utils.validation import check_is_fitted

from .._utils import check_at_least
from ..errors import InputError
from ..inspection import Explanations, explain
from ._display import BLUE, VERMILLION, Display

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


class ImageGridDisplay(Display):
    """Images with their answers, the least like the known classes first.

    Above each stand the answer, or the likeliest class where it is rejected, and the distance to the
    threshold. Rejected images have a broken frame.

    Use `from_estimator` or `from_explanations`.

    Parameters
    ----------
    explanations : Explanations
        Of the images, in the order in which they are drawn.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
    axes_ : dict of int to matplotlib Axes
        By the row of X.

    Raises
    ------
    InputError
        If there is no image.

    Examples
    --------
    >>> from matplotlib import pyplot as plt
    >>> from skneg import MCMDetector
    >>> from skneg.datasets import make_scenes
    >>> from skneg.plotting import ImageGridDisplay
    >>> X, y = make_scenes(40, shapes=["star", "heart"], random_state=0)
    >>> fish, _ = make_scenes(20, shapes=["fish"], random_state=1)
    >>> detector = MCMDetector(model="skneg-tiny").fit(X, y)
    >>> display = ImageGridDisplay.from_estimator(detector, fish, n=4)
    >>> display.frame()["decision"].is_monotonic_increasing
    True
    >>> plt.close(display.figure_)
    """

    def __init__(self, explanations: Explanations) -> None:
        if len(explanations) == 0 or explanations.images is None:
            what = "no image is among them" if len(explanations) == 0 else "images are not at hand"
            raise InputError(
                f"there is no picture to draw: {what}. Explain images, such as detector.explain(paths)."
            )
        self.explanations = explanations

    @classmethod
    def from_estimator(cls, detector: Any, X: Any, *, n: int = 12, ax: Axes | None = None) -> Self:
        """Score images and draw those that are least like the known classes.

        Parameters
        ----------
        detector : fitted detector
            Or a fitted Pipeline that ends in one, or a search over either.
        X : sequence of images
            Not embeddings.
        n : int, default=12
            How many to draw.
        ax : matplotlib Axes, optional
            See `plot`.

        Returns
        -------
        ImageGridDisplay

        Raises
        ------
        MissingDependencyError
            If matplotlib is not installed.
        InputError, InputTypeError
            If X has no images, or the detector cannot explain its answers.
        """
        cls._require_matplotlib()
        check_is_fitted(detector)
        return cls.from_explanations(explain(detector, X), n=n, ax=ax)

    @classmethod
    def from_explanations(cls, explanations: Explanations, *, n: int = 12, ax: Axes | None = None) -> Self:
        """Draw images that have been explained.

        Parameters
        ----------
        explanations : Explanations
            From ``detector.explain(X)``, such as ``why[why.rejected]``.
        n, ax
            See `from_estimator`.

        Returns
        -------
        ImageGridDisplay
        """
        check_at_least("n", n, 1, Integral)
        return cls(explanations.most_suspicious(n)).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the grid.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            The space to divide among the images, made by `subplots` or `add_subplot`; a new figure by
            default.

        Returns
        -------
        self
        """
        why = self.explanations
        assert why.images is not None
        n_columns = min(6, len(why))
        n_rows = -(-len(why) // n_columns)
        grid = self._divide(ax, (1.7 * n_columns, 2.1 * n_rows), n_rows, n_columns)
        rows = why.to_dict()["image"].tolist()
        self.axes_ = {row: self.figure_.add_subplot(grid[place]) for place, row in enumerate(rows)}
        for (row, panel), one in zip(self.axes_.items(), why, strict=True):
            is_known = not one.rejected[0]
            picture = why.images[row]
            if isinstance(picture, Image.Image):  # what was preprocessed for a model is none
                panel.imshow(picture)
            panel.set(xticks=[], yticks=[])
            label = one.answer[0] if is_known else f"unknown ({one.nearest_class[0]}?)"
            panel.set_title(f"{label}\n{one.decision[0]:+.2f}", fontsize="small", parse_math=False)
            for spine in panel.spines.values():
                spine.set(color=BLUE if is_known else VERMILLION, linewidth=2)
                spine.set_linestyle("-" if is_known else "--")
        return self

    def frame(self) -> pd.DataFrame:
        """One row for each image that is drawn, as of `Explanations.to_frame`.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed.
        """
        return self._as_frame(self.explanations.to_dict())
