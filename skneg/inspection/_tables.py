"""What `explain`, `nearest_words` and `suggest_classes` return: numbers first, and a table to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from html import escape
from numbers import Integral
from typing import Any

import numpy as np

from .._utils import check_at_least, require
from ..images._thumbnail import picture_of

_SHOWN = 10  # rows of a printed table
_NAMES = 5  # words of a group in it
_TYPICAL = 3  # images of a group in it


def pictures_of(images: Any, rows: np.ndarray, size: int) -> list[str]:
    """Some rows of the images as ``data:`` addresses, the largest side `size` pixels; "" where none is."""
    check_at_least("size", size, 1, Integral)
    return [picture_of(images, row, size) for row in rows.tolist()]


@dataclass(frozen=True, eq=False, repr=False)
class Explanations:
    """What lies behind the answers to n images; every attribute has one entry for each.

    Attributes
    ----------
    answer : ndarray of shape (n,)
        What `predict` answers.
    score, decision, p_value : ndarray of shape (n,), float64
        What `score_samples`, `decision_function` (the distance to the threshold) and `p_values` answer.
    nearest_class, second_class : ndarray of shape (n,)
        The two most likely classes, known or not; labels of ``classes_``. Where ``second_posterior`` is
        0 no other class has any share, and the second is the first of the others. The second, its
        posterior and the margin are None where one class is known.
    nearest_posterior, second_posterior : ndarray of shape (n,), float64
        Their closed-set posteriors, as of `predict_proba`.
    class_margin : ndarray of shape (n,), float64
        ``nearest_posterior - second_posterior``: near 0 where the image lies between two classes.
    nearest_cosine, second_cosine : ndarray of shape (n,), float64, or None
        Cosines of the image to their prompts; None where a detector knows classes by their images.
    negative : ndarray of shape (n,), int, or None
        Row of the nearest negative in ``text_bank_.negative``; this and all below are None where a
        detector has no negatives.
    negative_name : ndarray of shape (n,), str, or None
        The negative's word, or the name of its class with its number in brackets.
    negative_class : ndarray of shape (n,), or None
        Label of the class whose negative it is; None where negatives belong to no class.
    negative_cosine : ndarray of shape (n,), float64, or None
        Cosine of the image to it.
    negative_margin : ndarray of shape (n,), float64, or None
        ``nearest_cosine - negative_cosine``: how much nearer a class is than any negative prompt.
    word : ndarray of shape (n,), str, or None
        The nearest of the words that are negatives of no class (``text_bank_.common``); this and all
        below are None where a detector has none.
    word_cosine, word_margin : ndarray of shape (n,), float64, or None
        Cosine of the image to it, and ``nearest_cosine - word_cosine``.
    text_evidence, image_evidence, clarity : ndarray of shape (n,), float64, or None
        What the words, the training images, and how clearly it is one class add to the score: they sum to
        it. These and the two below are None where a detector scores by text or by images alone.
    text_class, image_class : ndarray of shape (n,), or None
        The class that the words, and that the training images prefer.
    image : ndarray of shape (n,), int
        Row of X.
    path : ndarray of shape (n,), object, or None
        The file of each image; None where no image came as a path.
    images : sequence of images or None
        All of X, of which `image` has the rows, for pictures; no column of the tables.
    """

    answer: np.ndarray
    score: np.ndarray
    decision: np.ndarray
    p_value: np.ndarray
    nearest_class: np.ndarray
    nearest_posterior: np.ndarray
    second_class: np.ndarray | None = None
    second_posterior: np.ndarray | None = None
    class_margin: np.ndarray | None = None
    nearest_cosine: np.ndarray | None = None
    second_cosine: np.ndarray | None = None
    negative: np.ndarray | None = None
    negative_name: np.ndarray | None = None
    negative_class: np.ndarray | None = None
    negative_cosine: np.ndarray | None = None
    negative_margin: np.ndarray | None = None
    word: np.ndarray | None = None
    word_cosine: np.ndarray | None = None
    word_margin: np.ndarray | None = None
    text_evidence: np.ndarray | None = None
    image_evidence: np.ndarray | None = None
    clarity: np.ndarray | None = None
    text_class: np.ndarray | None = None
    image_class: np.ndarray | None = None
    image: np.ndarray | None = None
    path: np.ndarray | None = None
    images: Sequence | None = None

    def __post_init__(self) -> None:
        if self.image is None:
            object.__setattr__(self, "image", np.arange(len(self.answer)))

    def __getstate__(self) -> dict[str, Any]:
        # Numbers are kept, images not: how they are loaded cannot be written to a file.
        return {**vars(self), "images": None}

    def __len__(self) -> int:
        return len(self.answer)

    def __getitem__(self, rows: Any) -> Explanations:
        """Some of the images: a number, a slice, a mask or row numbers."""
        chosen = np.atleast_1d(np.arange(len(self))[rows])
        columns = {name: values[chosen] for name, values in self.to_dict().items()}
        return Explanations(**columns, images=self.images)

    def __iter__(self) -> Iterator[Explanations]:
        return (self[row] for row in range(len(self)))

    def to_dict(self) -> dict[str, np.ndarray]:
        """Name and values of each column that the detector has."""
        columns = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "images"}
        return {name: values for name, values in columns.items() if values is not None}

    @property
    def rejected(self) -> np.ndarray:
        """Which images are answered with the unknown label, (n,) of bool; none without such a label."""
        return np.asarray(self.answer != self.nearest_class, dtype=bool)

    def most_suspicious(self, n: int = 10) -> Explanations:
        """The n images that are least like the known classes, the least like first.

        Parameters
        ----------
        n : int, default=10
            All where there are fewer.

        Returns
        -------
        Explanations
        """
        check_at_least("n", n, 1, Integral)
        return self[np.argsort(self.decision, kind="stable")[:n]]

    def to_frame(self) -> Any:
        """The columns as a pandas DataFrame, one row for each image."""
        return _frame(self.to_dict())

    def pictures(self, size: int = 96) -> list[str]:
        """Each image as a small picture, a ``data:`` address for a page; "" where there is none (any more).

        Parameters
        ----------
        size : int, default=96
            Largest side in pixels.

        Returns
        -------
        list of str of length n
        """
        return pictures_of(self.images, self.to_dict()["image"], size)

    def _columns(self) -> dict[str, list[str]]:
        """The table that is shown, as text, of the first few images."""
        shown = self[:_SHOWN]
        columns = {"image": [str(row) for row in shown.to_dict()["image"]]}
        if shown.path is not None:
            columns["path"] = [path if len(path) <= 40 else f"...{path[-37:]}" for path in shown.path]
        columns |= {
            "answer": [str(label) for label in shown.answer],
            "decision": [f"{value:+.4g}" for value in shown.decision],
            "p-value": [f"{value:.3f}" for value in shown.p_value],
            "likeliest class": _candidates(
                shown.nearest_class, shown.nearest_posterior, shown.nearest_cosine
            ),
        }
        if shown.second_class is not None and shown.second_posterior is not None:
            columns["second class"] = _candidates(
                shown.second_class, shown.second_posterior, shown.second_cosine
            )
        for title, share, label in (
            ("words say", shown.text_evidence, shown.text_class),
            ("images say", shown.image_evidence, shown.image_class),
        ):
            if share is not None and label is not None:
                columns[title] = [f"{value:+.2f} {name}" for value, name in zip(share, label, strict=True)]
        if shown.clarity is not None:
            columns["clarity"] = [f"{value:+.2f}" for value in shown.clarity]
        if shown.negative_name is not None and shown.negative_cosine is not None:
            columns["nearest negative"] = [
                f"{name} (cos {cosine:.3f})"
                for name, cosine in zip(shown.negative_name, shown.negative_cosine, strict=True)
            ]
        if shown.word is not None and shown.word_cosine is not None:
            columns["nearest word"] = [
                f"{word} (cos {cosine:.3f})"
                for word, cosine in zip(shown.word, shown.word_cosine, strict=True)
            ]
        return columns

    def __str__(self) -> str:
        return _table(self._columns(), len(self))

    def _repr_html_(self) -> str:
        """The table with pictures, as notebooks show it."""
        return _html(self._columns(), self[:_SHOWN].pictures(64), len(self))

    __repr__ = __str__


@dataclass(frozen=True, eq=False, repr=False)
class NearestWords:
    """The words nearest to each of m prompts.

    Attributes
    ----------
    of : str
        Which prompts they are: ``"negative"``, ``"positive"`` or ``"context"``.
    prompts : list of str
        What to call each: the class name, with the number of the negative in brackets, or the word.
    words : ndarray of shape (m, n), str
        Nearest first.
    cosines : ndarray of shape (m, n), float64
        In the order of `words`.
    classes : ndarray of shape (m,), or None
        Label of each prompt's class; None where prompts belong to no class.
    """

    of: str
    prompts: list[str]
    words: np.ndarray
    cosines: np.ndarray
    classes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.prompts)

    def to_dict(self) -> dict[str, dict[str, float]]:
        """For each prompt its words with their cosines, nearest first."""
        rows = zip(self.prompts, self.words.tolist(), self.cosines.tolist(), strict=True)
        return {prompt: dict(zip(words, cosines, strict=True)) for prompt, words, cosines in rows}

    def to_frame(self) -> Any:
        """A pandas DataFrame with one row for each prompt and word."""
        n = self.words.shape[1]
        columns: dict[str, Any] = {"prompt": np.repeat(self.prompts, n)}
        if self.classes is not None:
            columns["class"] = np.repeat(self.classes, n)
        columns["rank"] = np.tile(np.arange(1, n + 1), len(self))
        return _frame({**columns, "word": self.words.ravel(), "cosine": self.cosines.ravel()})

    def __str__(self) -> str:
        nearest = _with_cosines(self.words[:_SHOWN], self.cosines[:_SHOWN])
        columns = {self.of: self.prompts[:_SHOWN], "nearest words (cosine)": nearest}
        return _table(columns, len(self))

    __repr__ = __str__


@dataclass(frozen=True, eq=False, repr=False)
class Suggestions:
    """Groups of unknown images, with words for each; every attribute but `groups` has one entry for each.

    Attributes
    ----------
    groups : ndarray of shape (n_images,), int
        Group of each row of X, from 0 on, the largest first; -1: in none.
    words : ndarray of shape (n_groups, n), str
        Words nearest to the mean of the group's images, nearest first.
    cosines : ndarray of shape (n_groups, n), float64
        Of these words to that mean, in the order of `words`.
    support : ndarray of shape (n_groups,), int
        Number of images.
    share : ndarray of shape (n_groups,), float64
        How far the first word can be trusted: the share of the group's images that are nearer to it than to
        any other word, each taken alone.
    images : list of ndarray of int
        The rows of X of each group's images, the most typical (nearest to their mean) first.
    min_images : int
        Number of images of the smallest group that there may be.
    min_cosine : float
        Mean cosine between the images of two groups, less what all images have in common, from which on they
        are one.
    evidence : str
        What the groups come from: ``"images"``, or ``"both"`` images and the words near them.
    nearest_class : ndarray of shape (n_groups,), or None
        Label of the known class whose prompt is nearest; None where a detector knows classes by their images.
    class_cosine : ndarray of shape (n_groups,), float64, or None
        Cosine of the mean to it. Where it is larger than that of the first word, the group may be images of
        this class.
    """

    groups: np.ndarray
    words: np.ndarray
    cosines: np.ndarray
    support: np.ndarray
    share: np.ndarray
    images: list[np.ndarray]
    min_images: int
    min_cosine: float
    evidence: str
    nearest_class: np.ndarray | None = None
    class_cosine: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.support)

    def to_dict(self) -> dict[str, Any]:
        """Name and values of what there is of each group."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        of_all = ("groups", "min_images", "min_cosine", "evidence")
        return {name: of for name, of in columns.items() if of is not None and name not in of_all}

    def to_frame(self) -> Any:
        """A pandas DataFrame with one row for each group and word."""
        n = self.words.shape[1]
        columns = {"group": np.repeat(np.arange(len(self)), n)}
        for name in ("support", "share", "nearest_class", "class_cosine"):
            if (values := getattr(self, name)) is not None:
                columns[name] = np.repeat(values, n)
        columns["rank"] = np.tile(np.arange(1, n + 1), len(self))
        return _frame({**columns, "word": self.words.ravel(), "cosine": self.cosines.ravel()})

    def __str__(self) -> str:
        n_images, alone = len(self.groups), int((self.groups < 0).sum())
        if len(self) == 0:
            return (
                f"no group: of {n_images} images no {self.min_images} are alike (mean cosine of "
                f"{self.min_cosine:.2f} or more); see min_images and min_cosine"
            )
        shown = slice(_SHOWN)
        columns = {
            "group": [str(group) for group in range(len(self))][shown],
            "images": [str(count) for count in self.support[shown]],
            "share": [f"{share:.0%}" for share in self.share[shown]],
            "words (cosine)": _with_cosines(self.words[shown, :_NAMES], self.cosines[shown, :_NAMES]),
        }
        if self.nearest_class is not None and self.class_cosine is not None:
            pairs = zip(self.nearest_class[shown], self.class_cosine[shown], strict=True)
            columns["nearest class"] = [f"{label} ({cosine:.2f})" for label, cosine in pairs]
        columns["typical images"] = [", ".join(map(str, rows[:_TYPICAL])) for rows in self.images[shown]]
        return f"{_table(columns, len(self))}\n{alone} of {n_images} images are in no group"

    __repr__ = __str__


def _with_cosines(words: np.ndarray, cosines: np.ndarray) -> list[str]:
    return [
        ", ".join(f"{word} ({cosine:.2f})" for word, cosine in zip(*row, strict=True))
        for row in zip(words, cosines, strict=True)
    ]


def _candidates(labels: np.ndarray, posterior: np.ndarray, cosine: np.ndarray | None) -> list[str]:
    shares = [f"{label} (p {share:.3f}" for label, share in zip(labels, posterior, strict=True)]
    if cosine is None:
        return [f"{share})" for share in shares]
    return [f"{share}, cos {value:.3f})" for share, value in zip(shares, cosine, strict=True)]


def _table(columns: Mapping[str, Sequence[str]], total: int) -> str:
    widths = [max(map(len, (title, *cells))) for title, cells in columns.items()]
    rows = [tuple(columns), *zip(*columns.values(), strict=True)]
    lines = [
        " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    hidden = total - len(rows) + 1
    return "\n".join([*lines, f"... and {hidden} more; see to_dict() or to_frame()"] if hidden else lines)


def _html(columns: Mapping[str, Sequence[str]], pictures: Sequence[str], total: int) -> str:
    """The same for notebooks, with a picture in the first cell of each row."""
    rows = [[escape(cell) for cell in row] for row in zip(*columns.values(), strict=True)]
    for row, picture in zip(rows, pictures, strict=True):
        row[0] += f'<br><img src="{picture}" alt="">' if picture else ""
    head = "".join(f"<th>{escape(title)}</th>" for title in columns)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    hidden = total - len(rows)
    more = f"<p>... and {hidden} more; see to_dict() or to_frame()</p>" if hidden else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _frame(columns: dict[str, Any]) -> Any:
    pandas = require("pandas", "to_frame", "pip install pandas, or use to_dict().")
    return pandas.DataFrame(columns)
