"""Training images whose label may be wrong, that look like no class, or that are there twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn import clone
from sklearn.linear_model import LogisticRegression

from .._registry import detector_class
from .._utils import check_between, check_option, check_seed, unheard, unit_rows
from ..errors import InputError, InputTypeError, SknegWarning
from ..evidence import N_FOLDS, folds, taught_to_all
from ..images._inputs import as_image_sequence, images_or_none, is_embeddings
from ..vocabulary import as_names, build_vocabulary, check_labels, resolve_unknown_label
from ._copies import Nearest, nearest_others
from ._explain import one_detector
from ._label_noise import chance_right
from ._suspicions import Suspicions

# Of the logistic regression; chosen on flips of seed 100 (benchmarks/label_errors.py), of 1, 10 and 100.
_C = 10.0
_LEAST = -650.0  # of log posteriors: about the smallest that is a float64


def suspicious_labels(
    X: Any,
    y: Any,
    detector: Any = None,
    *,
    class_names: Any = None,
    groups: Any = None,
    fdr: float = 0.1,
    alike: float = 0.1,
    outliers: float = 0.01,
    copies: str = "other classes",
    min_cosine: float | None = None,
    random_state: Any = 0,
) -> Suspicions:
    """Training images to look at: wrong labels, images of no class, copies with different labels.

    Each image is judged by what others teach, in five folds: the detector's posterior and that of a logistic
    regression on the embeddings are joined by weights that make the labels most likely, where a share of them
    may be wrong [1]_. From it comes the chance that the label of each image is right. Listed are as many of
    the least likely ones as there can be if a share `fdr` of the list may be right, on average [2]_.

    Parameters
    ----------
    X : sequence of images, or array-like of shape (n, d) of floats
        Training images, as in `fit`.
    y : array-like of shape (n,)
        Their labels. Images with the unknown label are left out.
    detector : detector, optional
        Judges the images, and encodes them where X has no embeddings; by default
        ``NegPromptDetector(evidence="images")``. With ``evidence="both"`` class names help to judge, which
        takes as long as to fit five times. It stays as it is. Or a Pipeline that ends in one, with fitted
        steps before it.
    class_names : optional
        As in `fit`.
    groups : array-like of shape (n,), optional
        Images of one group do not judge each other, such as frames of one film. Copies that are found never
        do.
    fdr : float, default=0.1
        Share of the listed labels that may be right.
    alike : float, default=0.1
        Share of the wrong labels that name a class that looks like the right one, and not just any. Where
        people have confused look-alikes, 0.5 and more lists more of these; where images are hard to tell
        apart, it also lists more right labels.
    outliers : float, default=0.01
        An image counts as of no class where its conformal p-value, among the training images of other
        folds, is at most this: about as large a share of images is listed, whether there are outliers or
        not, and none where there are fewer than ``1 / outliers``. These p-values are ranks, so that no
        rate of false discoveries can be promised.
    copies : {"other classes", "all", "none"}, default="other classes"
        Which near-duplicates to list: pairs with different labels, also those with one label, or none.
    min_cosine : float, optional
        Cosine of two images from which on they are near-duplicates. By default their distance,
        ``1 - cosine``, is at most an eighth of the median distance of an image to its nearest other.
    random_state : int, RandomState instance or None, default=0
        Decides the folds, and is that of the default detector.

    Returns
    -------
    Suspicions
        A table, the least likely label first.

    Raises
    ------
    InputError, InputTypeError
        If X, y or a parameter is not usable.

    Notes
    -----
    An image whose class has no other (no other group) cannot be judged, and with one class no label can be;
    copies are found all the same. `fdr` is kept on average where labels are wrong as `alike` says. A label of
    a look-alike class can hardly be told from that of a hard image: it stands early in ``right``, but is
    seldom listed by default (docs/labels.md has measurements).

    References
    ----------
    .. [1] Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR
       2021.
    .. [2] Newton et al., "Detecting differential gene expression with a semiparametric hierarchical mixture
       method", Biostatistics 2004, section 4 (the rate of false discoveries from posteriors).

    Examples
    --------
    >>> from skneg import CLIPImageEncoder
    >>> from skneg.datasets import make_scenes
    >>> from skneg.inspection import suspicious_labels
    >>> X, y = make_scenes(90, shapes=["star", "heart", "key"], noise=0, random_state=0)
    >>> y[4], y[40]
    (np.str_('key'), np.str_('star'))
    >>> y[[4, 40]] = "heart"
    >>> Z = CLIPImageEncoder(model="skneg-tiny").transform(X)
    >>> found = suspicious_labels(Z, y)
    >>> print(found)
    row | label | likely label | kind  | chance | other image
    40  | heart | star         | label | 0.000  |
    4   | heart | key          | label | 0.001  |
    90 images: 2 label, 0 outlier, 0 copy
    """
    check_between("fdr", fdr, 0, 1)
    check_between("outliers", outliers, 0, 1)
    check_between("alike", alike, 0, 1)
    check_option("copies", copies, ("other classes", "all", "none"))
    if min_cosine is not None:
        check_between("min_cosine", min_cosine, -1, 1)
    rng = check_seed(random_state)
    seed = int(rng.randint(2**31 - 1))
    if detector is None:
        detector = detector_class("NegPromptDetector")(evidence="images", random_state=seed)
    detector, prepare = one_detector(detector, "suspicious_labels")
    if detector.needs.startswith("pixels"):
        raise InputTypeError(
            f"suspicious_labels fits on embeddings, which {type(detector).__name__} cannot: give another."
        )
    images = images_or_none(X)
    Z = _embeddings(detector, prepare(X))
    labels = check_labels(y, len(Z))
    unknown = resolve_unknown_label(detector.unknown_label, labels)
    known = np.ones(len(labels), dtype=bool) if unknown is None else labels != unknown
    if not known.any():
        raise InputError(f"y has no known class: all {len(labels)} labels are unknown_label ({unknown!r}).")
    class_names = detector.class_names if class_names is None else class_names
    if class_names is not None and not isinstance(class_names, Mapping):
        # By label: a list would mean others in a fold that lacks a class.
        named = build_vocabulary(np.unique(labels[known]), as_names(class_names))
        class_names = dict(zip(named.labels.tolist(), named.names, strict=True))
    rows = np.flatnonzero(known)
    classes, targets = np.unique(labels[rows], return_inverse=True)
    whole = Z[rows, 0] if Z.ndim == 3 else Z[rows]
    near = nearest_others(whole, targets, min_cosine)
    numbers = None if groups is None else check_labels(groups, len(Z), "groups", of_classes=False)[rows]
    units = _together(numbers, near)
    fold = folds(targets, N_FOLDS, rng, units)
    fold[taught_to_all(targets, units)] = -1
    opinions, p_value = _judged(detector, Z[rows], whole, targets, classes, fold, units, class_names)
    right, likely = np.full(len(rows), np.nan), targets.copy()
    judged = np.isfinite([opinion[np.arange(len(rows)), targets] for opinion in opinions]).all(axis=0)
    if len(classes) > 1 and judged.any():
        own = targets[judged]
        told = [np.nan_to_num(opinion[judged], nan=_LEAST) for opinion in opinions]
        right[judged], log_p = chance_right(told, own, alike)
        log_p[np.arange(len(own)), own] = -np.inf
        likely[judged] = log_p.argmax(axis=1)
    found = [
        *_wrong(right, likely, fdr),
        *_of_no_class(p_value, likely, outliers),
        *_pairs(right, targets, near, copies),
    ]
    found.sort(key=lambda finding: finding[1])  # stable: of equals the first kind
    row, chance, kind, looks_like, other, cosine = zip(*found, strict=True) if found else [()] * 6
    at = rows[list(row)] if found else rows[:0]
    of_all = np.full((2, len(labels)), np.nan)
    of_all[:, rows] = right, p_value
    paths = None if images is None or images.paths is None else np.array(images.paths, dtype=object)[at]
    return Suspicions(
        row=at,
        label=labels[at],
        likely_label=classes[np.array(looks_like, dtype=int)],
        chance=np.array(chance, dtype=float),
        kind=np.array(kind, dtype=str),
        other=np.array([-1 if i < 0 else rows[i] for i in other], dtype=int),
        cosine=np.array(cosine, dtype=float),
        right=of_all[0],
        p_value=of_all[1],
        min_cosine=near.level,
        path=paths,
        images=images,
    )


# Row, chance that nothing is wrong, kind, likely class, other row, cosine to it.
_Finding = tuple[int, float, str, int, int, float]


def _wrong(right: np.ndarray, likely: np.ndarray, fdr: float) -> Iterator[_Finding]:
    """As many of the least likely labels as may be wrong together: their mean chance is at most `fdr`."""
    order = np.argsort(right, kind="stable")[: np.isfinite(right).sum()]
    mean = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    for i in order[: np.count_nonzero(mean <= fdr)].tolist():  # means of what is sorted only grow
        yield i, right[i], "label", likely[i], -1, np.nan


def _of_no_class(p_value: np.ndarray, likely: np.ndarray, at_most: float) -> Iterator[_Finding]:
    for i in np.flatnonzero(p_value <= at_most).tolist():
        yield i, p_value[i], "outlier", likely[i], -1, np.nan


def _pairs(right: np.ndarray, y: np.ndarray, near: Nearest, copies: str) -> Iterator[_Finding]:
    """Each pair once, by the image whose label is less likely."""
    seen = set()
    for i, column in np.argwhere(near.is_copy).tolist():
        j = int(near.row[i, column])
        if copies == "none" or (copies == "other classes" and column == 0) or (j, i) in seen:
            continue
        seen.add((i, j))
        known = np.isfinite(right[[i, j]]).all()
        if known and right[j] < right[i]:
            i, j = j, i
        chance = right[i]
        if y[i] != y[j]:  # one of both is wrong
            mine, others = right[i] * (1 - right[j]), right[j] * (1 - right[i])
            chance = mine / (mine + others) if known and mine + others > 0 else 0.5
        elif not known:
            chance = 1.0
        yield i, chance, "copy", y[j], j, near.cosine[i, int(y[i] != y[j])]


def _embeddings(detector: Any, X: Any) -> np.ndarray:
    """Unit-norm embeddings (n, d), or (n, 1 + patches, d) for a detector that looks at patches."""
    is_patches = isinstance(X, np.ndarray) and X.ndim == 3 and X.dtype.kind == "f"
    if is_embeddings(X) or is_patches:
        Z = unit_rows(np.asarray(X))
        if Z.size == 0:
            raise InputError(f"X holds no images (found array with 0 sample(s) or feature(s): {Z.shape}).")
        return Z
    return detector._encoder().transform(as_image_sequence(X))


def _together(groups: np.ndarray | None, near: Nearest) -> np.ndarray | None:
    """Numbers of the groups, with copies in one; None where each image is alone."""
    one, column = np.nonzero(near.is_copy)
    if groups is None and len(one) == 0:
        return None
    n, two = len(near.row), near.row[one, column]
    if groups is not None:
        _, first, number = np.unique(groups, return_index=True, return_inverse=True)
        one, two = np.append(one, np.arange(n)), np.append(two, first[number])
    links = coo_array((np.ones(len(one)), (one, two)), shape=(n, n))
    return connected_components(links, directed=False)[1]


def _judged(
    detector: Any,
    Z: np.ndarray,
    whole: np.ndarray,
    targets: np.ndarray,
    classes: np.ndarray,
    fold: np.ndarray,
    groups: np.ndarray | None,
    class_names: Any,
) -> tuple[list[np.ndarray], np.ndarray]:
    """Log posteriors of images by detector and regression without their fold, and p-values; NaN: none."""
    n, k = len(targets), len(classes)
    opinions, p_value = [np.full((n, k), np.nan) for _ in range(2)], np.full(n, np.nan)
    for h in np.setdiff1d(fold, [-1]):
        rest, ours = fold != h, np.flatnonzero(fold == h)
        labels = classes[targets[rest]]
        several = len(np.unique(labels)) > 1
        if not len(labels) or not (several or detector.one_class):
            continue
        with unheard(SknegWarning):  # whoever fits on all of them hears it
            one = clone(detector).fit(
                Z[rest], labels, class_names=class_names, groups=None if groups is None else groups[rest]
            )
            p_value[ours] = one.p_values(Z[ours])
            models = [(one, Z)]
            if several:
                models.append((LogisticRegression(C=_C, max_iter=1000).fit(whole[rest], labels), whole))
            for opinion, (model, rows) in zip(opinions, models, strict=False):
                seen = np.isin(model.classes_, classes)  # a detector may know names without images
                posterior = np.log(np.maximum(model.predict_proba(rows[ours])[:, seen], np.exp(_LEAST)))
                opinion[np.ix_(ours, np.searchsorted(classes, model.classes_[seen]))] = posterior
    return opinions, p_value
