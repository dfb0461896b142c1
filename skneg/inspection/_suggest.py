"""Names for the unknown: groups of rejected images, and the words nearest to each."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.pairwise import cosine_distances

from .._state import FittedState
from .._utils import check_at_least, check_between, check_option, check_templates, unit_rows
from ..errors import InputError, VocabularyError
from ..words import WordBank
from ._explain import _whole_images
from ._nearest_words import embedded_words, nearest
from ._tables import Suggestions

# What `min_cosine` is where the known classes do not tell: of 0.3, 0.4 and 0.5 the best for known classes
# that were hidden (benchmarks/suggestions.py --choose).
_USUAL_COSINE = 0.3
_MOST_KNOWN = 5000  # known images that are compared with each other: 200 MB
_MOST = 20_000  # images to group
_LEVELS = 400  # cuts of the tree that are tried


def suggest_classes(
    detector: Any,
    X: Any,
    words: str | WordBank = "nouns",
    n: int = 10,
    *,
    min_images: int = 3,
    min_cosine: float | None = None,
    template: str = "a photo of a {}",
) -> Suggestions:
    """Groups of unknown images, with words that may name them: candidates for new classes.

    Groups come from average-linkage clustering of the embeddings after the mean direction of known and
    unknown images has been taken off. Two groups are joined while the mean cosine between their images is
    at least `min_cosine`. That figure comes from the known classes: it is the one at which clustering
    finds these best, as one estimates the number of new classes by known ones [1]_. The words of a group
    are those nearest to the mean embedding of its images [2]_. Nothing is random.

    Parameters
    ----------
    detector : fitted detector
    X : sequence of images, or array-like of shape (n_images, d) of floats
        Images that were rejected, as in `fit`; at most 20,000. Time and memory grow with the square of
        their number.
    words : "nouns", or sequence of str, mapping of word to embedding, or pair of words and embeddings
        The words to choose from, by default those of ``skneg.datasets.load_words("nouns")``. Where
        their text embeddings of shape (n_words, d) are given, no text tower is used. Names of known
        classes, and their plurals, are left out.
    n : int, default=10
        Words for each group; all of them where there are fewer.
    min_images : int, default=3
        Smaller groups are none: their images are in no group.
    min_cosine : float, optional
        See above; a larger one makes more and smaller groups. Where fewer than two known classes have two
        images, nothing tells, and it is 0.3.
    template : str, default="a photo of a {}"
        Prompt around each word that is to be encoded.

    Returns
    -------
    Suggestions
        One entry for each group in arrays, the largest group first: words with cosines, number of images,
        the share of them that agree with the first word, and which images they are. ``groups`` has the
        group of each image. Prints as a table.

    Raises
    ------
    InputError, InputTypeError
        If X is empty or too long, or a parameter is not usable.
    VocabularyError
        If a word is empty, duplicate, or too long for the text tower, or no word is left.

    References
    ----------
    .. [1] Vaze et al., "Generalized Category Discovery", CVPR 2022, section 3.3.
    .. [2] Han et al., "What's in a Name? Beyond Class Indices for Image Recognition", 2023.

    Examples
    --------
    >>> from skneg import NegPromptDetector
    >>> from skneg.datasets import SHAPE_NAMES, make_scenes
    >>> from skneg.inspection import suggest_classes
    >>> X, y = make_scenes(120, shapes=["star", "heart", "tree"], random_state=0)
    >>> detector = NegPromptDetector(model="skneg-tiny", random_state=0).fit(X, y)
    >>> X_new, _ = make_scenes(40, shapes=["fish", "umbrella"], random_state=1)
    >>> X_rejected = [image for image, d in zip(X_new, detector.decision_function(X_new)) if d < 0]
    >>> suggested = suggest_classes(detector, X_rejected, SHAPE_NAMES, n=3)
    >>> print(suggested)

    Look at the images of a group, choose its name, and the detector knows one class more:

    >>> fish = [X_rejected[row] for row in suggested.images[0]]
    >>> old = detector.class_names_
    >>> detector = detector.set_vocabulary([*old, "fish"], X=fish, y=["fish"] * len(fish))
    >>> detector.classes_
    """
    check_at_least("n", n, 1, Integral)
    check_at_least("min_images", min_images, 1, Integral)
    if min_cosine is not None:
        check_between("min_cosine", min_cosine, -1, 1)
    check_templates("template", [template])
    if isinstance(words, str):
        check_option("words", words, ("nouns",))
    state, seen = detector._see(X)
    if len(seen) > _MOST:
        raise InputError(f"X has {len(seen)} images, more than {_MOST} to group: give a sample of them.")
    Z = _whole_images(detector, seen)
    listed, embeddings = embedded_words(
        detector, None if isinstance(words, str) else words, template, Z.shape[1], "words"
    )
    unknown = _unlike(listed, state.class_names_)
    listed, embeddings = np.array(listed)[unknown], embeddings[unknown]

    known, labels = _known_images(detector, state)
    # Half each: with few images on one side, the other's mean is not what both have in common.
    centre = (known.mean(axis=0) + Z.mean(axis=0)) / 2
    if min_cosine is None:
        min_cosine = _cosine_of_classes(known - centre, labels)
    groups = _numbered(_clusters(Z - centre, min_cosine), min_images)
    rows = [np.flatnonzero(groups == group) for group in range(groups.max() + 1)]
    means = unit_rows(np.stack([Z[own].mean(axis=0) for own in rows])) if rows else Z[:0]
    found, cosines = nearest(means, embeddings, n)
    of_image = nearest(Z, embeddings, 1)[0][:, 0]
    columns: dict[str, Any] = {}
    if hasattr(state, "text_bank_"):
        first, cosine = nearest(means, state.text_bank_.positive, 1)
        columns = {"nearest_class": state.classes_[first[:, 0]], "class_cosine": cosine[:, 0]}
    return Suggestions(
        groups=groups,
        words=listed[found],
        cosines=cosines,
        support=np.array([len(own) for own in rows], dtype=int),
        share=np.array([(of_image[own] == word).mean() for own, word in zip(rows, found[:, 0], strict=True)]),
        images=[
            own[np.argsort(-(Z[own] @ mean), kind="stable")] for own, mean in zip(rows, means, strict=True)
        ],
        min_images=min_images,
        min_cosine=float(min_cosine),
        **columns,
    )


def _unlike(words: list[str], names: list[str]) -> list[int]:
    """Rows of the words that are no known name, in singular or plural."""
    known = [_plain(name) for name in names]
    taken = {*known, *(plural for name in known for plural in _plurals(name))}
    left = [
        row for row, word in enumerate(map(_plain, words)) if not taken & {word} and not _plurals(word) & {*known}
    ]
    if not left:
        raise VocabularyError("no word is left: each is the name of a known class. Give more words.")
    return left


def _plain(word: str) -> str:
    return word.strip().casefold().replace("_", " ").replace("-", " ")


def _plurals(word: str) -> set[str]:
    return {f"{word}s", f"{word}es", f"{word.removesuffix('y')}ies"}


def _known_images(detector: Any, state: FittedState) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings (n, d) of the images that set the threshold, and their class numbers."""
    images, names = state.calibrator.images, state.calibrator.names
    if names is None:  # without labels each counts as of the class that is nearest to it
        labels = detector._posterior(state, images).argmax(axis=1)
    else:
        labels = np.unique(names, return_inverse=True)[1]
    step = -(-len(labels) // _MOST_KNOWN)
    return _whole_images(detector, images)[::step], labels[::step]


def _cosine_of_classes(Z: np.ndarray, labels: np.ndarray) -> float:
    """The mean cosine at which to stop joining images, so that groups are the classes as well as can be."""
    if (np.bincount(labels) > 1).sum() < 2:
        return _USUAL_COSINE
    tree = _tree(Z)
    levels = np.unique([0.0, *tree[:, 2]])
    levels = levels[np.linspace(0, len(levels) - 1, min(len(levels), _LEVELS)).astype(int)]
    quality = np.array([adjusted_rand_score(labels, fcluster(tree, at, "distance")) for at in levels])
    best = np.flatnonzero(quality >= quality.max() - 1e-9)
    # Between two levels nothing is joined.
    return 1 - float(levels[best[0]] + levels[min(best[-1] + 1, len(levels) - 1)]) / 2


def _clusters(Z: np.ndarray, min_cosine: float) -> np.ndarray:
    if len(Z) == 1:
        return np.zeros(1, dtype=int)
    return fcluster(_tree(Z), 1 - min_cosine, "distance")


def _tree(Z: np.ndarray) -> np.ndarray:
    # In float32: half the memory, which is what limits the number of images.
    return linkage(squareform(cosine_distances(Z.astype(np.float32)), checks=False), "average")


def _numbered(clusters: np.ndarray, min_images: int) -> np.ndarray:
    """Clusters numbered from 0, the largest first and of equals the one that begins first; -1 if small."""
    _, first, place, counts = np.unique(clusters, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -counts))
    order = order[counts[order] >= min_images]
    numbers = np.full(len(counts), -1)
    numbers[order] = np.arange(len(order))
    return numbers[place]
