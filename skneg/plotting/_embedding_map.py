"""A map of images and prompts: t-SNE of their embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from sklearn.manifold import TSNE

from .._utils import check_at_least, check_between, check_seed, unit_rows
from ..bank import TextBank
from ..errors import InputError, InputTypeError
from ._display import BLACK, YELLOW, Display, styles
from ._sets import ID, bank_of, by_set, embed, fitted_detector, named

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


class Points(NamedTuple):
    """Some images or prompts on the map.

    Attributes
    ----------
    places : ndarray of shape (n, 2)
    rows : ndarray of shape (n,), int
        Which image of its set, or which prompt, each place is.
    n_all : int
        How many there were before some were left out.
    """

    places: np.ndarray
    rows: np.ndarray
    n_all: int


class EmbeddingMapDisplay(Display):
    """t-SNE of images, positive and negative prompts ([1]_, Fig. 4).

    On such a map neighbours mean something; distances between groups, sizes and directions do not.
    Detectors without negatives show the positives alone.

    Use `from_estimator` or `from_predictions`.

    Parameters
    ----------
    images : mapping of str to Points
        Each set of images, the known classes' first.
    positive : Points
    negative : Points, optional
    positive_name : str, default="positive prompts"
        What the positives are.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
    points_ : dict of str to matplotlib PathCollection
        By the name of the set, and ``"positive"`` and ``"negative"``.

    Notes
    -----
    CLIP embeds images and texts in two separate cones [2]_, so that on a map of the bare embeddings all
    prompts are one island. With ``center=True`` the mean ID image is subtracted from the images and the
    mean positive from the prompts first. That moves each side as a whole and nothing within it.

    References
    ----------
    .. [1] Li et al., "Learning Transferable Negative Prompts for Out-of-Distribution Detection",
       CVPR 2024.
    .. [2] Liang et al., "Mind the Gap: Understanding the Modality Gap in Multi-modal Contrastive
       Representation Learning", NeurIPS 2022.

    Examples
    --------
    >>> from matplotlib import pyplot as plt
    >>> from skneg import MCMDetector
    >>> from skneg.datasets import make_scenes
    >>> from skneg.plotting import EmbeddingMapDisplay
    >>> X, y = make_scenes(40, shapes=["star", "heart"], random_state=0)
    >>> fish, _ = make_scenes(20, shapes=["fish"], random_state=1)
    >>> detector = MCMDetector(model="skneg-tiny").fit(X, y)
    >>> display = EmbeddingMapDisplay.from_estimator(detector, X, y, ood={"fish": fish}, random_state=0)
    >>> display.frame().columns.tolist()
    ['set', 'kind', 'row', 'x', 'y']
    >>> plt.close(display.figure_)
    """

    def __init__(
        self,
        images: Mapping[str, Points],
        positive: Points,
        negative: Points | None = None,
        *,
        positive_name: str = "positive prompts",
    ) -> None:
        self.images = dict(images)
        self.positive = positive
        self.negative = negative
        self.positive_name = positive_name

    @classmethod
    def from_estimator(
        cls,
        detector: Any,
        X: Any,
        y: Any = None,
        *,
        ood: Any = None,
        ax: Axes | None = None,
        center: bool = True,
        perplexity: float = 30.0,
        max_per_set: int = 500,
        random_state: Any = None,
    ) -> Self:
        """Embed images, lay them out beside the detector's text bank, and draw.

        Parameters
        ----------
        detector, X, y, ood, ax
            See `ScoreHistogramDisplay.from_estimator`.
        center : bool, default=True
            Whether to bring images and prompts together; see Notes.
        perplexity : float, default=30.0
            Of t-SNE, about the number of neighbours that count; at most a third of the points is used.
        max_per_set : int, default=500
            Of each set of images, and of the negatives, at most so many are laid out, chosen at random;
            the legend says of how many.
        random_state : int, RandomState or None, default=None
            Decides the choice and the layout.

        Returns
        -------
        EmbeddingMapDisplay

        Raises
        ------
        MissingDependencyError
            If matplotlib is not installed.
        InputError, InputTypeError
            If a parameter is not usable, or the detector has no text bank of its own.
        """
        cls._require_matplotlib()
        detector, prepare = fitted_detector(detector)
        sets = by_set(detector, embed(detector, prepare, cls.__name__), X, y, ood)
        bank, kind = bank_of(detector)
        places = _lay_out(sets, bank, center, perplexity, max_per_set, random_state)
        return cls(*places, positive_name=kind).plot(ax)

    @classmethod
    def from_predictions(
        cls,
        embeddings_id: Any,
        embeddings_ood: Any = None,
        *,
        text_bank: TextBank,
        ax: Axes | None = None,
        center: bool = True,
        perplexity: float = 30.0,
        max_per_set: int = 500,
        random_state: Any = None,
    ) -> Self:
        """Lay embeddings out and draw.

        Parameters
        ----------
        embeddings_id : array-like of shape (n, d)
            Of ID images, as from `CLIPImageEncoder`.
        embeddings_ood : mapping of str to array-like of shape (n, d), or array-like, optional
            Of OOD images, of several sets by name or of one set.
        text_bank : TextBank
            The prompts, such as ``detector.text_bank_``.
        ax, center, perplexity, max_per_set, random_state
            See `from_estimator`.

        Returns
        -------
        EmbeddingMapDisplay
        """
        if not isinstance(text_bank, TextBank):
            raise InputTypeError(f"text_bank must be a TextBank, got a {type(text_bank).__name__}.")
        sets = {}
        for name, X in {ID: embeddings_id, **named(embeddings_ood)}.items():
            sets[name] = unit_rows(np.asarray(X, dtype=np.float64), f"embeddings of {name!r}")
            if sets[name].ndim != 2 or sets[name].shape[1] != text_bank.positive.shape[1]:
                raise InputError(
                    f"the embeddings of {name!r} have shape {sets[name].shape}; the text bank's have "
                    f"{text_bank.positive.shape[1]} columns."
                )
        return cls(*_lay_out(sets, text_bank, center, perplexity, max_per_set, random_state)).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the map.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        self
        """
        ax = self._start(ax, (6.4, 5.6))
        self.points_ = {}
        for number, (name, style) in enumerate(styles(self.images).items()):
            # The known classes are full, the others outlines, so that they can be told where they mix.
            look = {"color": style.color, "linewidths": 0} if number == 0 else {
                "facecolors": "none", "edgecolors": style.color, "linewidths": 0.9,
            }  # fmt: skip
            points = self.images[name]
            self.points_[name] = ax.scatter(
                points.places[:, 0],
                points.places[:, 1],
                s=18,
                marker=style.marker,
                label=_count(f"{name} images", points),
                **look,  # type: ignore[arg-type]
            )
        if self.negative is not None:
            self.points_["negative"] = ax.scatter(
                self.negative.places[:, 0],
                self.negative.places[:, 1],
                s=70,
                marker="X",
                color="white",
                edgecolors=BLACK,
                linewidths=1,
                zorder=3,
                label=_count("negative prompts", self.negative),
            )
        self.points_["positive"] = ax.scatter(
            self.positive.places[:, 0],
            self.positive.places[:, 1],
            s=170,
            marker="*",
            color=YELLOW,
            edgecolors=BLACK,
            linewidths=1,
            zorder=4,
            label=_count(self.positive_name, self.positive),
        )
        ax.set(xlabel="t-SNE, first axis", ylabel="t-SNE, second axis", xticks=[], yticks=[])
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
        return self

    def frame(self) -> pd.DataFrame:
        """One row for each point.

        Columns: ``set``, the images' set, or ``"positive"`` or ``"negative"`` for prompts; ``kind``,
        ``"image"`` or ``"prompt"``; ``row``, the position in the set or the text bank; ``x`` and ``y``.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed.
        """
        prompts = {"positive": self.positive, "negative": self.negative}
        parts = [(name, "image", points) for name, points in self.images.items()]
        parts += [(name, "prompt", points) for name, points in prompts.items() if points is not None]
        sizes = [len(points.rows) for _, _, points in parts]
        places = np.concatenate([points.places for _, _, points in parts])
        return self._as_frame(
            {
                "set": np.repeat([name for name, _, _ in parts], sizes),
                "kind": np.repeat([kind for _, kind, _ in parts], sizes),
                "row": np.concatenate([points.rows for _, _, points in parts]),
                "x": places[:, 0],
                "y": places[:, 1],
            }
        )


def _count(label: str, points: Points) -> str:
    n = len(points.rows)
    return f"{label} ({n})" if n == points.n_all else f"{label} ({n} of {points.n_all})"


def _lay_out(
    sets: Mapping[str, np.ndarray],
    bank: TextBank,
    center: bool,
    perplexity: float,
    max_per_set: int,
    random_state: Any,
) -> tuple[dict[str, Points], Points, Points | None]:
    check_at_least("max_per_set", max_per_set, 1, Integral)
    check_between("perplexity", perplexity, 0, np.inf)
    generator = check_seed(random_state)
    image_mean = sets[ID].mean(axis=0) if center else 0
    text_mean = bank.positive.mean(axis=0) if center else 0
    groups = [embeddings - image_mean for embeddings in sets.values()]
    groups += [prompts - text_mean for prompts in (bank.positive, bank.negative)]
    limits = [*[max_per_set] * len(sets), len(bank.positive), max_per_set]
    rows = [
        np.arange(len(group))
        if len(group) <= limit
        else np.sort(generator.choice(len(group), limit, replace=False))
        for group, limit in zip(groups, limits, strict=True)
    ]
    chosen = np.concatenate([group[own] for group, own in zip(groups, rows, strict=True)])
    if len(chosen) < 4:
        raise InputError(f"a map needs at least 4 images and prompts, got {len(chosen)}.")
    tsne = TSNE(perplexity=min(perplexity, (len(chosen) - 1) / 3), metric="cosine", random_state=generator)
    places = np.split(tsne.fit_transform(chosen), np.cumsum([len(own) for own in rows])[:-1])
    points = [Points(*parts) for parts in zip(places, rows, map(len, groups), strict=True)]
    *images, positive, negative = points
    return dict(zip(sets, images, strict=True)), positive, negative if negative.n_all else None
