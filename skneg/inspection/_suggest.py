"""Names for the unknown: groups of rejected images, and the words nearest to each."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from scipy.special import softmax
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.pairwise import cosine_distances
from sklearn.preprocessing import normalize
from sklearn.utils import gen_batches

from .._state import FittedState
from .._utils import check_at_least, check_between, check_option, check_templates, unit_rows
from ..errors import InputError, VocabularyError
from ..words import WordBank
from ._explain import look, whole_images
from ._nearest_words import embedded_words, nearest
from ._tables import Suggestions

# Chosen by hiding known classes (benchmarks/suggestions.py --choose), of 0.3, 0.4 and 0.5: for embeddings
# alone, where the known classes tell nothing.
_USUAL_COSINE = 0.3
_TEMPERATURE = 0.01  # CLIP's own; detectors that know classes by images have none
_MOST_KNOWN = 5000  # known images that are compared with each other: 200 MB
_MOST = 20_000  # images to group
_LEVELS = 400  # cuts of the tree that are tried
_CELLS = 2**22  # cosines to words at a time


def suggest_classes(
    detector: Any,
    X: Any,
    words: str | WordBank = "nouns",
    n: int = 10,
    *,
    min_images: int = 3,
    min_cosine: float | None = None,
    evidence: str = "auto",
    template: str = "a photo of a {}",
) -> Suggestions:
    """Groups of unknown images, with words that may name them: candidates for new classes.

    Groups come from average-linkage clustering: two are joined while the mean cosine between their images
    is at least `min_cosine`. An image is its embedding, and beside it, where that helps, the mean embedding
    of the words near it, weighted by a softmax of their cosines, as in [1]_; each less the mean of all known
    and unknown images. What is taken, and `min_cosine`, come from the known classes: they are the ones by
    which clustering finds these best, as one estimates the number of new classes by known ones [2]_. The
    words of a group are those nearest to the mean embedding of its images. Nothing is random.

    Parameters
    ----------
    detector : fitted detector
        Or a fitted Pipeline that ends in one, or a search over either.
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
        images, nothing tells: it is then 0.3, and `evidence` is ``"images"``.
    evidence : {"auto", "images", "both"}, default="auto"
        Whether images are grouped by their embeddings, or by these and the words near them.
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
    .. [1] Li et al., "Image Clustering with External Guidance", ICML 2024, section 3.2.
    .. [2] Vaze et al., "Generalized Category Discovery", CVPR 2022, section 3.3.

    Examples
    --------
    >>> from skneg import NegPromptDetector
    >>> from skneg.datasets import SHAPE_NAMES, make_scenes
    >>> from skneg.inspection import suggest_classes
    >>> X, y = make_scenes(120, shapes=["star", "heart", "tree"], random_state=0)
    >>> detector = NegPromptDetector(model="skneg-tiny", random_state=0).fit(X, y)
    >>> X_new, _ = make_scenes(40, shapes=["fish", "umbrella"], random_state=1)
    >>> X_rejected = [image for image, d in zip(X_new, detector.decision_function(X_new)) if d < 0]
    >>> suggested = suggest_classes(detector, X_rejected, SHAPE_NAMES, n=2)
    >>> print(suggested)
    group | images | share | words (cosine)                   | nearest class | typical images
    0     | 20     | 85%   | fish (0.61), arrow (0.42)        | heart (0.37)  | 5, 28, 17
    1     | 20     | 95%   | umbrella (0.60), mushroom (0.40) | star (0.30)   | 35, 34, 37
    0 of 40 images are in no group

    Look at the images of a group, choose its name, and the detector knows one class more:

    >>> fish = [image for image, group in zip(X_rejected, suggested.groups) if group == 0]
    >>> names = [*detector.class_names_, "fish"]
    >>> detector = detector.set_vocabulary(names, X=fish, y=["fish"] * len(fish))
    >>> detector.classes_.tolist()
    ['fish', 'heart', 'star', 'tree']
    """
    detector, state, seen, _ = look(detector, X, "suggest_classes")
    return suggest_for(
        detector,
        state,
        whole_images(detector, seen),
        words,
        n,
        min_images=min_images,
        min_cosine=min_cosine,
        evidence=evidence,
        template=template,
    )


def suggest_for(
    detector: Any,
    state: FittedState,
    Z: np.ndarray,
    words: str | WordBank = "nouns",
    n: int = 10,
    *,
    min_images: int = 3,
    min_cosine: float | None = None,
    evidence: str = "auto",
    template: str = "a photo of a {}",
) -> Suggestions:
    """`suggest_classes` for images that are encoded already, as embeddings (n_images, d)."""
    check_at_least("n", n, 1, Integral)
    check_at_least("min_images", min_images, 1, Integral)
    if min_cosine is not None:
        check_between("min_cosine", min_cosine, -1, 1)
    check_option("evidence", evidence, ("auto", "images", "both"))
    check_templates("template", [template])
    if len(Z) > _MOST:
        raise InputError(f"X has {len(Z)} images, more than {_MOST} to group: give a sample of them.")
    listed, embeddings = embedded_words(detector, words, template, Z.shape[1])
    kept = _unlike(listed, state.class_names_)
    names, embeddings = np.array(listed)[kept], embeddings[kept]
    known, labels = _known_images(detector, state)
    clusters, evidence, min_cosine = _clusters(known, labels, Z, embeddings, evidence, min_cosine)
    groups = _numbered(clusters, min_images)
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
        words=names[found],
        cosines=cosines,
        support=np.array([len(own) for own in rows], dtype=int),
        share=np.array([(of_image[own] == word).mean() for own, word in zip(rows, found[:, 0], strict=True)]),
        images=[
            own[np.argsort(-(Z[own] @ mean), kind="stable")] for own, mean in zip(rows, means, strict=True)
        ],
        min_images=min_images,
        min_cosine=min_cosine,
        evidence=evidence,
        **columns,
    )


def _unlike(words: Sequence[str], names: Sequence[str]) -> list[int]:
    """Rows of the words that are no known name, in singular or plural."""
    known = [_plain(name) for name in names]
    taken = {*known, *(plural for name in known for plural in _plurals(name))}
    plain = [_plain(word) for word in words]
    left = [row for row, word in enumerate(plain) if word not in taken and not _plurals(word) & {*known}]
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
    return whole_images(detector, images)[::step], labels[::step]


def _clusters(
    known: np.ndarray,
    labels: np.ndarray,
    Z: np.ndarray,
    text: np.ndarray,
    evidence: str,
    min_cosine: float | None,
) -> tuple[np.ndarray, str, float]:
    """Cluster of each row of Z, by which evidence, and down to which cosine."""
    told = (np.bincount(labels) > 1).sum() > 1
    images = _directions(known, Z)
    views = {} if evidence == "both" else {"images": images}
    if evidence == "both" or (evidence == "auto" and told):
        words = _directions(_in_words(known, text), _in_words(Z, text))
        # The cosine of two such rows is the mean of both.
        views["both"] = np.hstack([images[0], words[0]]), np.hstack([images[1], words[1]])
    fits = {
        kind: _cosine_of_classes(view[0], labels) if told else (0.0, _USUAL_COSINE)
        for kind, view in views.items()
    }
    evidence = max(fits, key=lambda kind: fits[kind][0])  # of equals images alone
    min_cosine = fits[evidence][1] if min_cosine is None else float(min_cosine)
    one = np.ones(1, dtype=int)
    clusters = one if len(Z) == 1 else fcluster(_tree(views[evidence][1]), 1 - min_cosine, "distance")
    return clusters, evidence, min_cosine


def _directions(known: np.ndarray, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both less what they have in common, at length 1; a row that is nothing else stays zero."""
    # Of all images, not half each: the mean of one unknown class says what sets it apart, and must stay.
    centre = np.concatenate([known, Z]).mean(axis=0)
    return normalize(known - centre), normalize(Z - centre)


def _in_words(Z: np.ndarray, text: np.ndarray) -> np.ndarray:
    """Mean (n, d) of the words' embeddings, each weighted by how near the image is to it."""
    parts = gen_batches(len(Z), max(1, _CELLS // len(text)))
    return np.concatenate([softmax(Z[part] @ text.T / _TEMPERATURE, axis=1) @ text for part in parts])


def _cosine_of_classes(Z: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """How well groups can be the classes (adjusted Rand), and the mean cosine down to which they join."""
    tree = _tree(Z)
    levels = np.unique([0.0, *tree[:, 2]])
    levels = levels[np.linspace(0, len(levels) - 1, min(len(levels), _LEVELS)).astype(int)]
    quality = np.array([adjusted_rand_score(labels, fcluster(tree, at, "distance")) for at in levels])
    # Of several runs of levels that are as good, the widest.
    good = np.flatnonzero(quality >= quality.max() - 1e-9)
    runs = np.split(good, np.flatnonzero(np.diff(good) > 1) + 1)
    ends = [(levels[run[0]], levels[min(run[-1] + 1, len(levels) - 1)]) for run in runs]
    low, high = max(ends, key=lambda pair: pair[1] - pair[0])
    # Between two levels nothing is joined. Few known classes lie opposite each other; what has nothing in
    # common has cosine 0.
    middle = float(low + max(low, min(high, 1.0))) / 2
    return float(quality.max()), 1 - middle


def _tree(Z: np.ndarray) -> np.ndarray:
    # In float32 until `linkage` makes float64 of the half that it needs.
    return linkage(squareform(cosine_distances(Z.astype(np.float32)), checks=False), "average")


def _numbered(clusters: np.ndarray, min_images: int) -> np.ndarray:
    """Clusters numbered from 0, the largest first and of equals the one that begins first; -1 if small."""
    _, first, place, counts = np.unique(clusters, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -counts))
    order = order[counts[order] >= min_images]
    numbers = np.full(len(counts), -1)
    numbers[order] = np.arange(len(order))
    return numbers[place]
