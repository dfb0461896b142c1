"""Which class is answered for which, and how often images of no class are taken for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..errors import InputError
from ..metrics._open_set import named_labels
from ..vocabulary import resolve_unknown_label
from ._display import Display
from ._sets import ID, by_set, fitted_detector, named, need

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


class ConfusionDisplay(Display):
    """Confusion matrix with a column for "unknown", and a row for each set of OOD images.

    Use `from_estimator` or `from_predictions`.

    Parameters
    ----------
    counts : array-like of shape (n_rows, n_columns), int
        Images of each row that got the answer of each column.
    rows : sequence of str
        The known classes that images were given of, then the OOD sets.
    columns : sequence of str
        The classes, then the unknown label, where there is one.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
    image_ : matplotlib AxesImage

    See Also
    --------
    sklearn.metrics.ConfusionMatrixDisplay : Takes `predict`'s answers too, where no set has a name.

    Examples
    --------
    >>> from matplotlib import pyplot as plt
    >>> from skneg import MCMDetector
    >>> from skneg.datasets import make_scenes
    >>> from skneg.plotting import ConfusionDisplay
    >>> X, y = make_scenes(40, shapes=["star", "heart"], random_state=0)
    >>> fish, _ = make_scenes(20, shapes=["fish"], random_state=1)
    >>> detector = MCMDetector(model="skneg-tiny").fit(X, y)
    >>> display = ConfusionDisplay.from_estimator(detector, X, y, ood={"fish": fish})
    >>> display.rows, display.columns
    (['heart', 'star', 'fish'], ['heart', 'star', 'unknown'])
    >>> plt.close(display.figure_)
    """

    def __init__(self, counts: Any, rows: Any, columns: Any) -> None:
        self.counts = np.asarray(counts)
        self.rows, self.columns = list(rows), list(columns)
        if self.counts.shape != (len(self.rows), len(self.columns)):
            raise InputError(
                f"counts has shape {self.counts.shape}; there are {len(self.rows)} rows and "
                f"{len(self.columns)} columns."
            )

    @classmethod
    def from_estimator(
        cls, detector: Any, X: Any, y: Any, *, ood: Any = None, ax: Axes | None = None
    ) -> Self:
        """Let a detector answer and draw.

        Parameters
        ----------
        detector, X, ood, ax
            See `ScoreHistogramDisplay.from_estimator`.
        y : array-like of shape (n,)
            Labels; rows with the detector's unknown label are the set "OOD".

        Returns
        -------
        ConfusionDisplay

        Raises
        ------
        MissingDependencyError
            If matplotlib is not installed.
        InputError, InputTypeError
            If a label is neither a class nor the unknown label, or the detector gives no answers.
        """
        cls._require_matplotlib()
        detector, prepare = fitted_detector(detector)
        predict = need(detector, "predict", cls.__name__, "use from_predictions.")
        answers = by_set(detector, lambda images: predict(prepare(images)), X, y, ood)
        labels = np.asarray(y)
        known = labels[np.isin(labels, detector.classes_)]
        others = {name: values for name, values in answers.items() if name != ID}
        return cls._of(known, answers[ID], others, detector.classes_, detector.unknown_label_).plot(ax)

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        answers_ood: Any = None,
        *,
        unknown_label: Any = "auto",
        ax: Axes | None = None,
    ) -> Self:
        """Draw answers.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (n,)
            Labels of images of known classes, and what `predict` answers.
        answers_ood : mapping of str to array-like of shape (m,), or array-like of shape (m,), optional
            What `predict` answers for OOD images, of several sets by name or of one set.
        unknown_label : label, default="auto"
            The answer for images of no known class: ``"auto"`` is -1 beside numbers and ``"unknown"`` beside
            strings; None where there is none.
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        ConfusionDisplay

        Raises
        ------
        InputError, InputTypeError
            If labels and answers do not go together.
        """
        true, answers = named_labels(y_true, "y_true"), named_labels(y_pred, "y_pred")
        if len(true) != len(answers):
            raise InputError(f"y_true and y_pred have different lengths: {len(true)} and {len(answers)}.")
        others = {name: named_labels(values, name) for name, values in named(answers_ood).items()}
        unknown_label = resolve_unknown_label(unknown_label, true)
        seen = np.unique(np.concatenate([true, answers, *others.values()]))
        return cls._of(true, answers, others, seen[seen != unknown_label], unknown_label).plot(ax)

    @classmethod
    def _of(cls, true: np.ndarray, answers: np.ndarray, others: Any, classes: Any, unknown: Any) -> Self:
        columns = [*classes.tolist(), *([] if unknown is None else [unknown])]
        number = {label: column for column, label in enumerate(columns)}

        def count(answers: np.ndarray) -> np.ndarray:
            return np.bincount([number[label] for label in answers.tolist()], minlength=len(columns))

        given = np.unique(true).tolist()
        counts = [count(answers[true == label]) for label in given]
        counts += [count(values) for values in others.values()]
        return cls(counts, [*map(str, given), *others], map(str, columns))

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the matrix in shares of each row; up to 20 rows with numbers.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        self
        """
        n_rows, n_columns = self.counts.shape
        ax = self._start(ax, (2.2 + 0.42 * min(n_columns, 30), 1.6 + 0.36 * min(n_rows, 30)))
        share = 100 * self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1)
        self.image_ = ax.imshow(share, cmap="Blues", vmin=0, vmax=100, aspect="auto")
        ax.set(xlabel="answer", ylabel="image of")
        ax.set_xticks(range(n_columns), self.columns, rotation=90, fontsize="small", parse_math=False)
        ax.set_yticks(range(n_rows), self.rows, fontsize="small", parse_math=False)
        if max(n_rows, n_columns) <= 20:
            for (row, column), value in np.ndenumerate(share):
                if value:
                    color = "white" if value > 50 else "black"
                    ax.text(column, row, f"{value:.0f}", ha="center", va="center", color=color, fontsize=7)
        self.figure_.colorbar(self.image_, ax=ax, label="images of the row [%]")
        return self

    def frame(self) -> pd.DataFrame:
        """The counts, with a row for each class and OOD set, and a column for each answer.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed.
        """
        frame = self._as_frame(dict(zip(self.columns, self.counts.T, strict=True)))
        frame.index = self.rows
        return frame
