"""The report as one HTML file."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from importlib.resources import files
from numbers import Integral
from pathlib import Path
from typing import Any

import jinja2
from sklearn.utils.validation import check_is_fitted

from .. import __version__
from .._files import check_target, write_bytes
from .._utils import check_at_least
from ..errors import BackboneError, InputError
from ..inspection._explain import one_detector
from ..inspection._suggest import suggest_for
from ..metrics._report import MEAN
from ..plotting._sets import ID, by_set, named
from ..vocabulary import check_labels
from ..words import WordBank, read_word_bank
from . import _facts
from ._histogram import histogram
from ._seen import Seen, see

_MOST_TO_GROUP = 5000  # rejected images: the time to group them grows with the square


def html(
    detector: Any,
    X: Any,
    y: Any = None,
    *,
    ood: Any = None,
    path: str | os.PathLike = "report.html",
    words: str | WordBank | None = "nouns",
    n_images: int = 12,
) -> Path:
    """Write a page on what a detector says of images: one file that needs no network.

    It says what was fitted and what the threshold promises; shows the scores and, where there are OOD
    images, AUROC and FPR95 with bootstrap intervals; the answers for each class; the most and the least
    certain rejections with what words and images say; labels that look wrong; and names for groups of
    rejected images. Images that the detector has learned from are counted, where it can tell, and take no
    part in AUROC, FPR95 and the labels.

    Parameters
    ----------
    detector : fitted detector
        Or a fitted Pipeline that ends in one, or a search over either.
    X : sequence of images, or array-like of shape (n, d) of floats
        Images, best ones that were not in `fit`; embeddings give a report without pictures. Each is
        encoded once, and those that are shown are opened once more.
    y : array-like of shape (n,), optional
        Labels: rows with the detector's unknown label are OOD images. Without it, nothing is said of
        right and wrong answers.
    ood : mapping of str to X, or X, optional
        Sets of OOD images by name, or one set.
    path : str or Path, default="report.html"
        The file; one that is there is replaced once the new one is complete.
    words : "nouns", or sequence of str, mapping or pair, optional
        The words that may name rejected images; see `skneg.inspection.suggest_classes`. None for none.
    n_images : int, default=12
        Images in each list.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError, InputTypeError
        If X, y or `ood` is not usable, or the detector explains no answers, as an ensemble.
    ImageError
        If an image cannot be read; has its ``index``.
    PersistenceError
        If the file cannot be written.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> from skneg import MCMDetector, report
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(60, shapes=["star", "heart"], random_state=0)
    >>> X_new, y_new = make_scenes(60, shapes=["star", "heart"], random_state=1)
    >>> fish, _ = make_scenes(20, shapes=["fish"], random_state=2)
    >>> detector = MCMDetector(model="skneg-tiny").fit(X, y)
    >>> file = report.html(detector, X_new, y_new, ood={"fish": fish}, path=f"{mkdtemp()}/report.html")
    >>> file.stat().st_size > 10_000
    True
    """
    check_at_least("n_images", n_images, 1, Integral)
    target = check_target(path)
    check_is_fitted(detector)
    estimator, detector = detector, one_detector(detector, "report.html")[0]
    if words is not None and not (isinstance(words, str) and words == "nouns"):
        read_word_bank(words, "words")
    if MEAN in named(ood):
        raise InputError(f"a set of OOD images cannot be called {MEAN!r}, as the mean of all is; rename it.")
    state = detector._fitted()
    labels = None if y is None else check_labels(y, len(y)).astype(object)
    sets = by_set(detector, lambda images: see(estimator, images, labels if images is X else None), X, y, ood)
    known, others = sets[ID], {name: seen for name, seen in sets.items() if name != ID}
    rejected = Seen.joined({name: seen[seen.why.rejected] for name, seen in sets.items()})
    old = _facts.learned_from(detector, known, state)
    new = _facts.without(known, old)
    new_others, n_taken_up = _facts.new_of(detector, others, state)

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files(__package__).joinpath("_template.html").read_text("utf-8"))
    page = template.render(
        title=f"{type(detector).__name__}: report",
        made=f"skneg {__version__}, {datetime.now(UTC):%Y-%m-%d}",
        facts=_facts.of_detector(detector, state),
        sets=_facts.of_sets(sets),
        n_old=None if old is None else len(old),
        n_known=len(known),
        n_of_threshold=_facts.n_of_threshold(known, state),
        histogram=histogram({name: s.why.score for name, s in sets.items()}, state),
        ranking=_facts.ranking(new, new_others, state),
        confusion=None if y is None else _facts.confusion(known, others, state),
        sure=_facts.cards(rejected, rejected.why.decision, n_images),
        unsure=_facts.cards(rejected, -rejected.why.decision, n_images),
        n_rejected=len(rejected),
        n_taken_up=n_taken_up,
        missed=_missed(known, others, n_images),
        doubtful=None if y is None else _facts.doubtful_labels(new, state, n_images),
        **_names(detector, rejected, words),
    )
    write_bytes(target, page.encode("utf-8", "replace"))
    return target


def _missed(known: Seen, others: dict[str, Seen], n: int) -> dict[str, Any] | None:
    """The two kinds of mistakes at the threshold: known images rejected, unknown ones accepted."""
    if not others:
        return None
    rejected = known[known.why.rejected]
    accepted = Seen.joined({name: seen[~seen.why.rejected] for name, seen in others.items()})
    return {
        "rejected": _facts.cards(rejected, rejected.why.decision, n),
        "n_rejected": len(rejected),
        "accepted": _facts.cards(accepted, -accepted.why.decision, n),
        "n_accepted": len(accepted),
    }


def _names(detector: Any, rejected: Seen, words: str | WordBank | None) -> dict[str, Any]:
    """Groups of the rejected with words, or why there are none."""
    if words is None:
        return {"no_names": "No words were asked for."}
    if len(rejected) == 0:
        return {"no_names": "No image was rejected."}
    step = -(-len(rejected) // _MOST_TO_GROUP)
    some = rejected[::step]
    try:
        suggested = suggest_for(detector, detector._fitted(), some.embeddings, words, 5)
    except (BackboneError, InputError) as error:  # embeddings of another model, or one that is not here
        if not isinstance(words, str):
            raise
        return {"no_names": f"Words need the model's text tower: {error}"}
    if len(suggested) == 0:
        return {"no_names": f"No {suggested.min_images} of the rejected images are alike."}
    return {"names": _facts.named_groups(suggested, some), "step": step}
