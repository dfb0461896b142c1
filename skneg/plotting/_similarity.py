"""How close known and unknown images come to positive and negative prompts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from ..bank import TextBank
from ..errors import InputError
from ._display import BLUE, ORANGE, Display
from ._sets import ID, bank_of, by_set, embed, fitted_detector, named

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_CELLS = 2**24  # cosines alive at a time: 64 MiB in float32


class Similarity(NamedTuple):
    """The largest cosine of each image of a set.

    Attributes
    ----------
    positive : ndarray of shape (n,)
        To the positive prompts.
    negative : ndarray of shape (n,) or None
        To the negative prompts; None where there are none.
    """

    positive: np.ndarray
    negative: np.ndarray | None


class SimilarityDisplay(Display):
    """Largest cosine of ID and OOD images to the positive and to the negative prompts ([1]_, Fig. 3).

    Where a detector works, ID images are closest to positive prompts and OOD images to negative ones.
    Detectors without negatives show the positives alone.

    Use `from_estimator` or `from_predictions`.

    Parameters
    ----------
    similarities : mapping of str to (positive, negative)
        For each set of images, the known classes' first: two arrays of shape (n,), the largest cosines
        of each image. `negative` is None for all sets or for none.
    positive_name : str, default="positive prompts"
        What the positives are.

    Attributes
    ----------
    similarities : dict of str to Similarity
        ``positive`` and ``negative`` of each set.
    ax_, figure_ : matplotlib Axes and Figure
    boxes_ : dict of (str, str) to matplotlib Patch
        The box of each set and ``"positive"`` or ``"negative"``: quartiles and median; whiskers reach
        from the 5th to the 95th percentile; the dot and the number are the mean.

    References
    ----------
    .. [1] Li et al., "Learning Transferable Negative Prompts for Out-of-Distribution Detection",
       CVPR 2024.

    Examples
    --------
    >>> from matplotlib import pyplot as plt
    >>> from skneg import NegPromptDetector, PromptRecipe
    >>> from skneg.datasets import make_scenes
    >>> from skneg.plotting import SimilarityDisplay
    >>> X, y = make_scenes(100, shapes=["star", "heart"], random_state=0)
    >>> fish, _ = make_scenes(20, shapes=["fish"], random_state=1)
    >>> recipe = PromptRecipe(negative_steps=5)
    >>> detector = NegPromptDetector(model="skneg-tiny", recipe=recipe, random_state=0).fit(X, y)
    >>> display = SimilarityDisplay.from_estimator(detector, X, y, ood={"fish": fish})
    >>> display.frame().columns.tolist()
    ['set', 'prompts', 'image', 'cosine']
    >>> plt.close(display.figure_)
    """

    def __init__(self, similarities: Mapping[str, Any], *, positive_name: str = "positive prompts") -> None:
        self.similarities = {name: _as_similarity(pair, name) for name, pair in similarities.items()}
        self.positive_name = positive_name
        if len({pair.negative is None for pair in self.similarities.values()}) != 1:
            raise InputError("similarities must have negatives for all sets of images or for none.")

    @classmethod
    def from_estimator(
        cls, detector: Any, X: Any, y: Any = None, *, ood: Any = None, ax: Axes | None = None
    ) -> Self:
        """Embed images, compare them with the detector's text bank, and draw.

        Parameters
        ----------
        detector, X, y, ood, ax
            See `ScoreHistogramDisplay.from_estimator`. Cosines are those of whole images as they are,
            also where the detector scores them in another way.

        Returns
        -------
        SimilarityDisplay

        Raises
        ------
        InputTypeError
            If the detector has no text bank of its own, as a `ScoreEnsemble`.
        """
        cls._require_matplotlib()
        detector, prepare = fitted_detector(detector)
        sets = by_set(detector, embed(detector, prepare, cls.__name__), X, y, ood)
        bank, kind = bank_of(detector)
        similarities = {name: _largest(embeddings, bank) for name, embeddings in sets.items()}
        return cls(similarities, positive_name=kind).plot(ax)

    @classmethod
    def from_predictions(cls, cosines_id: Any, cosines_ood: Any = None, *, ax: Axes | None = None) -> Self:
        """Draw cosines.

        Parameters
        ----------
        cosines_id : pair of array-like of shape (n, k) and (n, m)
            Cosines of ID images to all positive and to all negative prompts; None in the place of the
            second where there are no negatives.
        cosines_ood : mapping of str to such pairs, or a pair, optional
            The same of OOD images, of several sets by name or of one set.
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        SimilarityDisplay
        """
        pairs = {ID: cosines_id, **named(cosines_ood)}
        return cls({name: _row_maxima(pair, name) for name, pair in pairs.items()}).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw a box for each set and side.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        self
        """
        ax = self._start(ax)
        sides = [("positive", self.positive_name, BLUE, ""), ("negative", "negative prompts", ORANGE, "////")]
        drawn = [
            side for side in sides if getattr(next(iter(self.similarities.values())), side[0]) is not None
        ]
        width = 0.8 / len(drawn)
        self.boxes_ = {}
        crowded = len(self.similarities) > 6  # level numbers would run into each other
        for number, (side, label, color, hatch) in enumerate(drawn):
            places = np.arange(len(self.similarities)) + (number - (len(drawn) - 1) / 2) * width
            values = [getattr(pair, side) for pair in self.similarities.values()]
            parts = ax.boxplot(
                values,
                positions=places,
                widths=0.75 * width,
                whis=(5, 95),
                showfliers=False,
                showmeans=True,
                patch_artist=True,
                manage_ticks=False,
                boxprops={"facecolor": (color, 0.35), "edgecolor": "black", "hatch": hatch},
                medianprops={"color": "black", "linewidth": 1.5},
                meanprops={"marker": "o", "markerfacecolor": "black", "markeredgecolor": "white"},
            )
            parts["boxes"][0].set_label(label)
            for name, box, place, own in zip(self.similarities, parts["boxes"], places, values, strict=True):
                self.boxes_[name, side] = box
                ax.annotate(
                    f"{own.mean():.2f}",
                    (place, np.percentile(own, 95)),
                    xytext=(0, 3),
                    textcoords="offset points",
                    ha="center",
                    va="bottom",
                    rotation=90 if crowded else 0,
                )
        ax.set_xticks(range(len(self.similarities)), list(self.similarities))
        if sum(map(len, self.similarities)) > 50:
            ax.tick_params(axis="x", labelrotation=30)
        ax.set(xlabel="images", ylabel="largest cosine to the prompts")
        if len(drawn) == 1:
            ax.set_ylabel(f"largest cosine to the {drawn[0][1]}")
        ax.plot([], [], "o", color="black", markeredgecolor="white", label="mean, as numbered")
        ax.margins(y=0.2 if crowded else 0.1)
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False)
        return self

    def frame(self) -> pd.DataFrame:
        """One row for each image and side.

        Columns: ``set``; ``prompts``, which is ``"positive"`` or ``"negative"``; ``image``, the
        position in its set; ``cosine``.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed.
        """
        rows = [
            (name, side, values)
            for name, pair in self.similarities.items()
            for side, values in pair._asdict().items()
            if values is not None
        ]
        sizes = [len(values) for _, _, values in rows]
        return self._as_frame(
            {
                "set": np.repeat([name for name, _, _ in rows], sizes),
                "prompts": np.repeat([side for _, side, _ in rows], sizes),
                "image": np.concatenate([np.arange(size) for size in sizes]),
                "cosine": np.concatenate([values for _, _, values in rows]),
            }
        )


def _as_similarity(pair: Any, name: str) -> Similarity:
    positive, negative = pair
    arrays = [None if side is None else np.asarray(side, dtype=np.float64) for side in (positive, negative)]
    for side in arrays:
        if side is not None and (side.ndim != 1 or len(side) == 0 or not np.isfinite(side).all()):
            raise InputError(f"the similarities of {name!r} must be non-empty 1-D arrays of finite numbers.")
    if arrays[0] is None or (arrays[1] is not None and len(arrays[0]) != len(arrays[1])):
        raise InputError(f"the similarities of {name!r} must have a positive, and both sides one per image.")
    return Similarity(arrays[0], arrays[1])


def _row_maxima(pair: Any, name: str) -> Similarity:
    sides = [None if side is None else np.asarray(side) for side in pair]
    for side in sides:
        if side is not None and (side.ndim != 2 or 0 in side.shape):
            raise InputError(f"the cosines of {name!r} must be 2-D, images x prompts; got {side.shape}.")
    positive, negative = (None if side is None else side.max(axis=1) for side in sides)
    return Similarity(positive, negative)  # type: ignore[arg-type]


def _largest(embeddings: np.ndarray, bank: TextBank) -> Similarity:
    rows = max(1, _CELLS // (len(bank.positive) + len(bank.negative)))
    chunks = np.split(embeddings, range(rows, len(embeddings), rows))
    positive, negative = (
        np.concatenate([(chunk @ prompts.T).max(axis=1) for chunk in chunks]) if len(prompts) else None
        for prompts in (bank.positive, bank.negative)
    )
    return Similarity(positive, negative)  # type: ignore[arg-type]
