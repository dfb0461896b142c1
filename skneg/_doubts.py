"""What looks wrong in labels and embeddings, and images that are there twice."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ._utils import warn
from .errors import InputWarning
from .threshold import Calibrator

if TYPE_CHECKING:
    from ._state import FittedState

# What people call images of no known class, and rows without a label.
_UNKNOWN = re.compile(
    r"(unknowns?|unk|ood|out of distribution|outliers?|others?|background|bg|none|null|nan|na|n a|void"
    r"|undefined|unlabell?ed|unclassified|uncategori[sz]ed|novel|anomal(y|ies|ous)|rest|reject(ed)?|misc(ellaneous)?"
    r"|(no|not a) (label|class))( (class|classes|label|images?|near|far|google))?|-1( 0)?"
)
_SAME = 1e-5  # largest difference between unit vectors of one image that was encoded twice
_LINKS = 8  # neighbours of each image that are looked at
_COLUMNS = 32  # with fewer, unlike images may lie in one direction
_NEAR = 1e-3  # their largest distance in a few directions of normal coordinates
_FEW = 50  # rows of which it is not said that they lie far from all that was seen
_FAR = 0.02  # mean cosine of rows that have nothing in common with those of `fit`


def warn_of_unknown_labels(labels: np.ndarray, names: Any, unknown_label: Any, width: int = 0) -> None:
    """Warn of classes whose label or name says that they are none.

    Parameters
    ----------
    labels : ndarray of shape (k,)
        Those of the classes.
    names : sequence of str
        Theirs, in the same order.
    unknown_label : label or None
        What takes rows out of training.
    width : int, default=0
        Of the strings, where an array has cut them to it.

    Warns
    -----
    InputWarning
    """
    for label, name in zip(labels.tolist(), names, strict=True):
        if label == unknown_label:  # refused elsewhere
            continue
        is_number = isinstance(label, int | float) and name == str(label)
        is_cut = isinstance(label, str) and 2 < len(label) == width
        if is_cut and isinstance(unknown_label, str) and unknown_label.startswith(label):
            warn(
                f"label {label!r} looks like unknown_label={unknown_label!r}, cut by an array of short "
                "strings, and is a class to learn: make the array of objects, or of longer strings.",
                InputWarning,
            )
        elif _UNKNOWN.fullmatch(_plain(name)) or (is_number and label < 0):
            called = f"label {label!r}" if name == str(label) else f"label {label!r}, called {name!r},"
            out = f"set unknown_label={label!r}"
            if unknown_label is not None:
                out = f"label them {unknown_label!r}, or {out}"
            warn(
                f"{called} is a class to learn, as if it were known. If its images are of no class, {out}; "
                "if they are of one, give it a name that says which.",
                InputWarning,
            )


def warn_of_near_labels(labels: np.ndarray) -> None:
    """Warn of labels that nobody can tell apart, as an `InputWarning`."""
    seen: dict[str, Any] = {}
    for label in labels.tolist():
        visible = "".join(c for c in str(label) if unicodedata.category(c) != "Cf").replace("_", " ")
        read = " ".join(unicodedata.normalize("NFKC", visible).lower().split())
        if (other := seen.setdefault(read, label)) != label:
            warn(
                f"labels {other!r} and {label!r} differ in case, blanks or what cannot be seen: one class?",
                InputWarning,
            )


def _plain(text: Any) -> str:
    """In lower case, with blanks for everything but letters, digits and a sign in front."""
    folded = unicodedata.normalize("NFKC", str(text)).casefold()
    return " ".join(re.sub(r"(?<!^)-|[^\w-]|_", " ", folded.strip()).split())


def copies(Z: Any) -> np.ndarray | None:
    """Numbers (n,), one for all copies of an image; None where no image is there twice.

    Parameters
    ----------
    Z : ndarray of shape (n, d)
        Unit-norm embeddings; what is no such matrix, or has few columns, is not looked at.

    Returns
    -------
    ndarray of shape (n,), int, or None
    """
    if not isinstance(Z, np.ndarray) or Z.ndim != 2 or len(Z) < 2 or Z.shape[1] < _COLUMNS:
        return None
    # Copies have one place in any few directions, up to the rounding of another batch.
    few = Z @ np.random.RandomState(0).standard_normal((Z.shape[1], 4)).astype(Z.dtype)
    places, first, number = np.unique(few, axis=0, return_index=True, return_inverse=True)
    one, two = first[number.ravel()], np.arange(len(Z))
    if len(places) > 1:
        near, other = cKDTree(places).query(places, k=min(_LINKS, len(places)), distance_upper_bound=_NEAR)
        close = np.isfinite(near)
        one = np.append(one, first[np.nonzero(close)[0]])
        two = np.append(two, first[other[close]])
    is_copy = (one != two) & (np.abs(Z[one] - Z[two]).max(axis=1) < _SAME)
    return together(len(Z), one[is_copy], two[is_copy]) if is_copy.any() else None


def together(n: int, one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Numbers (n,) of groups, from pairs that are in one group each."""
    links = coo_array((np.ones(len(one)), (one, two)), shape=(n, n))
    return connected_components(links, directed=False)[1]


def with_copies(groups: np.ndarray | None, Z: Any, labels: np.ndarray | None, rows: np.ndarray) -> Any:
    """Groups (n,) in which copies of an image are together; None where each image is alone.

    Parameters
    ----------
    groups : ndarray of shape (n,), int, or None
        Those that are known; they stay together.
    Z : ndarray of shape (n, d)
        See `copies`.
    labels : ndarray of shape (n,) or None
    rows : ndarray of shape (n,), int
        What to call the images in a warning.

    Warns
    -----
    InputWarning
        If copies of one image have different labels.
    """
    number = copies(Z)
    if number is None:
        return groups
    if labels is not None:
        order = np.lexsort((labels, number))
        differ = (np.diff(number[order]) == 0) & (labels[order][1:] != labels[order][:-1])
        if differ.any():
            one, two = sorted((order[:-1][differ][0], order[1:][differ][0]))
            warn(
                f"rows {rows[one]} and {rows[two]} are the same image, with labels {labels[one]!s} and "
                f"{labels[two]!s} ({differ.sum()} such cases): leave one of them out.",
                InputWarning,
            )
    if groups is None:
        return number
    firsts = [np.unique(part, return_index=True, return_inverse=True)[1:] for part in (number, groups)]
    one = np.concatenate([first[part.ravel()] for first, part in firsts])
    return together(len(Z), one, np.tile(np.arange(len(Z)), 2))


def seen_rows(Z: Any, state: FittedState) -> np.ndarray | None:
    """Rows of images that are copies of those that a detector has learned from; None where it keeps none.

    Parameters
    ----------
    Z : ndarray of shape (n, d)
        See `copies`.
    state : FittedState

    Returns
    -------
    ndarray of int, or None
    """
    known = state.learned.get("train_embeddings_")
    if known is None and state.calibrator.shift is not None:  # cross-fitted: they are one
        known = getattr(state.calibrator.images, "embeddings", state.calibrator.images)
    return rows_again(known, Z)


def rows_again(known: Any, Z: Any) -> np.ndarray | None:
    """Rows of images that are copies of known ones; None where these are no embeddings of the same kind.

    Parameters
    ----------
    known : ndarray of shape (m, d) or (m, patches, d)
    Z : ndarray of shape (n, d)
        See `copies`.
    """
    if isinstance(known, np.ndarray) and known.ndim == 3:  # with those of patches
        known = known[:, 0]
    if not isinstance(Z, np.ndarray) or not isinstance(known, np.ndarray) or known.shape[1:] != Z.shape[1:]:
        return None
    number = copies(np.concatenate([known, Z]))
    if number is None:
        return np.array([], dtype=int)
    return np.flatnonzero(np.isin(number[len(known) :], number[: len(known)]))


def warn_of_seen_images(Z: Any, rows: np.ndarray, state: FittedState, so: str) -> None:
    """Warn of `seen_rows`.

    Parameters
    ----------
    Z : ndarray of shape (n, d)
        See `copies`.
    rows : ndarray of shape (n,), int
        What to call the images.
    state : FittedState
    so : str
        What comes of it.

    Warns
    -----
    InputWarning
    """
    again = seen_rows(Z, state)
    if again is not None and len(again):
        warn(f"{len(again)} images of X, row {rows[again[0]]} first, are there already: {so}", InputWarning)


def warn_of_far_rows(mean: np.ndarray, n: int, seen: Calibrator) -> None:
    """Warn where embeddings lie far from those of `fit`: scaled in another way, or of another model.

    Those of one model lie around one direction, unknown images too.

    Parameters
    ----------
    mean : ndarray of shape (d,)
        Of the embeddings.
    n : int
        How many they are.
    seen : Calibrator
        Has the images that set the threshold.

    Warns
    -----
    InputWarning
        If the mean cosine to the mean of `seen` is next to nothing.
    """
    if mean.ndim != 1 or min(n, len(seen.images)) < _FEW or len(mean) < _COLUMNS:
        return
    if (centre := seen.centre) is None:
        return
    among, now = float(centre @ centre), float(mean @ centre)
    length = np.sqrt(among)
    if length > 0.2 and now / length < _FAR:
        warn(
            f"X lies far from the embeddings of `fit`: mean cosine to their mean {now / length:.2f}, theirs "
            f"{length:.2f}. Is it of the same model, and scaled or centred in the same way?",
            InputWarning,
        )
