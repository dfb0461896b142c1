"""Class names as a text tower reads them: no two alike, none that ends a prompt, none that says nothing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import gen_batches

from ._doubts import warn_of_near_labels
from ._utils import warn
from .errors import InputWarning, VocabularyError
from .words import embed_names

if TYPE_CHECKING:
    from ._state import FittedState
    from .backbone import TextTower

# Numbers, hashes, ids of WordNet, and the names that programs give to folders and classes.
_CODE = re.compile(
    r"[\W_]*\d+[\W_]*|[a-z]?\d{4,}|(?=.*\d)[0-9a-f]{8,}|img"
    r"|(class|cls|category|label|lbl|target|idx?|item|img|image|dir|folder|group|type|kind|object|cluster|taxon|sku)"
    r"[\W_]*(\d+|[a-z])",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"\d{2,}[\W_]+[^\W\d_].*")  # as in "001.barrel"
_TEMPLATE = ["a photo of a {}"]
_FEW, _MOST = 20, 5000  # images that are compared with their names: with fewer, chance decides
_CELLS = 2**22  # cosines at a time
_ENOUGH = 8  # images of a class, before it is said that they look like another
_CURE = (
    "Say what the classes are: class_names={label: 'name', ...}. Or leave names out of it: "
    "NegPromptDetector(evidence='images'), KNNDetector."
)
_ORDER = (
    "Are class_names in the order of the labels? A mapping of label to name leaves no doubt. If they are, "
    f"the names say little to this model. {_CURE}"
)


def check_names(detector: Any, learned: Any, names: Sequence[str]) -> None:
    """Refuse names that a detector's tokenizer cannot tell apart, and warn of names that say nothing.

    Parameters
    ----------
    detector : detector
    learned : mapping
        What it has learned so far.
    names : sequence of str

    Raises
    ------
    VocabularyError
        If two names have the same tokens, or a name has none or one that ends prompts.

    Warns
    -----
    InputWarning
        If most names are numbers, hashes or other codes.
    """
    if not tokenizes(detector, learned):
        return
    check_tokens(detector._backbone().text_tower, names)
    warn_of_near_labels(np.array(names))
    numbered = [name for name in names if _NUMBERED.fullmatch(name.strip())]
    if 2 * len(numbered) > len(names) > 1:
        warn(
            f"{len(numbered)} of {len(names)} class names begin with a number, such as {numbered[0]!r}, that "
            "the text tower reads too: leave it out of class_names={label: 'name', ...}.",
            InputWarning,
        )
    if codes := _codes(names):
        warn(
            f"{len(codes)} of {len(names)} class names are numbers or codes, such as {codes[0]!r}, which say "
            f"nothing to the text tower. {_CURE}",
            InputWarning,
        )


def tokenizes(detector: Any, learned: Any) -> bool:
    """Whether names go through a tokenizer, and not by the user's own text embeddings."""
    has_bank = getattr(detector, "text_bank", None) is not None or "given_bank_" in learned
    return detector.reads_names and not has_bank


def _codes(names: Sequence[str]) -> list[str]:
    """The names that are codes, where most are."""
    codes = [name for name in names if _CODE.fullmatch(name.strip())]
    return codes if 2 * len(codes) > len(names) > 1 else []


def check_tokens(tower: TextTower, names: Sequence[str]) -> None:
    """Refuse names with the same tokens, with none, or with those around a prompt."""
    *tokens, nothing = map(tuple, tower.tokenize([*names, ""], [*names, ""]).tolist())
    seen: dict[tuple[int, ...], str] = {}
    for name, read in zip(names, tokens, strict=True):
        if read == nothing:
            raise VocabularyError(f"the tokenizer reads nothing in class name {name!r}{_strange(name)}.")
        for special in tower.special_tokens:
            if special.casefold() in name.casefold():
                raise VocabularyError(
                    f"class name {name!r} has {special!r} in it, which starts or ends prompts: leave it out."
                )
        if (other := seen.setdefault(read, name)) != name:
            raise VocabularyError(
                f"class names {other!r}{_strange(other)} and {name!r}{_strange(name)} are the same to the "
                "model's tokenizer: make one class of them, or give one another name by class_names."
            )


def _strange(name: str) -> str:
    """The characters of a name that cannot be seen, or are taken for others, by their Unicode names."""
    found = [c for c in dict.fromkeys(name) if not (c.isascii() and c.isprintable()) and not c.isalpha()]
    told = ", ".join(f"{unicodedata.name(c, 'CONTROL CHARACTER')} U+{ord(c):04X}" for c in found)
    return f" (with {told})" if told else ""


def compare_names(detector: Any, state: FittedState, Z: Any, targets: np.ndarray) -> None:
    """`warn_of_disagreement` of the training images, where the names are read and the images embedded."""
    names = state.class_names_
    says = isinstance(Z, np.ndarray) and Z.ndim == 2 and len(Z) >= _FEW
    if not detector.reads_names or len(names) < 2 or not says:
        return
    if tokenizes(detector, state.learned) and _codes(names):
        return  # that has been said already
    rows = np.arange(len(Z))
    if len(rows) > _MOST:
        rows = np.random.RandomState(0).permutation(len(rows))[:_MOST]
    bank = state.model.get("text_bank_")
    if bank is None or detector.training == "prompts":  # prompts have learned what the names are to mean
        positive = embed_names(detector._backbone().text_tower, names, _TEMPLATE, shared_prefix=True)
    else:
        positive = bank.positive
    step = max(1, _CELLS // len(names))
    likeliest = [(Z[rows[some]] @ positive.T).argmax(axis=1) for some in gen_batches(len(rows), step)]
    warn_of_disagreement(names, targets[rows], np.concatenate(likeliest))


def compare_answers(detector: Any, state: FittedState, Z: Any, of_images: Sequence[str] | None) -> None:
    """`warn_of_disagreement` of new images, named by the user, and what the detector answers."""
    place = {name: i for i, name in enumerate(state.class_names_)}
    rows = [i for i, name in enumerate(of_images or ()) if name in place]
    if len(rows) < _FEW or len(place) < 2:
        return
    targets = np.array([place[of_images[i]] for i in rows])  # type: ignore[index]
    likeliest = detector._posterior(state, Z[np.array(rows)]).argmax(axis=1)
    warn_of_disagreement(
        state.class_names_, targets, likeliest, "labels of X and the detector's answers", "Check the labels."
    )


def warn_of_disagreement(
    names: Sequence[str],
    targets: np.ndarray,
    likeliest: np.ndarray,
    what: str = "labels and names",
    way_out: str = _ORDER,
) -> None:
    """Warn where training images and their names agree no better than by chance, or others would fit better.

    Parameters
    ----------
    names : sequence of str
    targets, likeliest : ndarray of shape (n,), int
        The name of each image, and the one that is nearest to it in the embedding space.
    what, way_out : str
        What is compared, and what to do.

    Warns
    -----
    InputWarning
        If fewer images agree than by chance and 0.1 more; or if classes that have images enough agree with
        the name of another class and not with their own.
    """
    k, own = len(names), targets == likeliest
    counts, agree = np.bincount(targets, minlength=k), float(own.mean())
    agreeing = np.bincount(targets[own], minlength=k)
    # Each class with the name of most of its images, the clearest first, each name once.
    pairs, sizes = np.unique(targets * k + likeliest, return_counts=True)
    taken: dict[int, int] = {}
    used, with_others, fits = set(), [], 0.0
    for pair in np.argsort(-sizes, kind="stable"):
        label, name = divmod(int(pairs[pair]), k)
        if sizes[pair] < 2 or label in taken or name in used:  # one image is no sign
            continue
        taken[label] = name
        used.add(name)
        fits += sizes[pair]
        is_clear = counts[label] >= _ENOUGH and sizes[pair] >= 0.6 * counts[label]
        if label != name and is_clear and agreeing[label] <= 0.1 * counts[label]:
            with_others.append(label)
    fits /= len(targets)
    what = f"{what} agree on {agree:.0%} of the images"
    if fits >= 0.5 and (2 * agree <= fits or len(with_others) > 1):
        row = next(iter(with_others), next((c for c, name in taken.items() if c != name), 0))
        warn(
            f"{what}; another order of the names would give {fits:.0%}: images of {names[row]!r} look like "
            f"{names[taken[row]]!r}. {way_out}",
            InputWarning,
        )
    elif agree < 1 / k + 0.1:
        warn(f"{what} (by chance: {1 / k:.0%}). {way_out}", InputWarning)
