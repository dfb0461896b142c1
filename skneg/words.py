"""Names and words to text embeddings, in one place; and which words become negatives."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, clone

from ._eviction import cache_folder, make_room, size_limit, space, used_now, why_not_kept
from ._files import alone, pack, read_bytes, unpack, write_bytes
from ._mining import row_quantile
from ._progress import progress_bar
from ._texts import embedded_once
from ._utils import check_between, check_option, warn
from .cache import CacheWarning
from .errors import InputError, InputTypeError, PersistenceError, VocabularyError

if TYPE_CHECKING:
    from .backbone import Backbone, TextTower

WordBank = Sequence[str] | Mapping[str, np.ndarray] | tuple[Sequence[str], np.ndarray]

_FORMAT = 1  # of kept word lists: versions of skneg that write others do not meet in a folder
_LONGEST_HEAD = 2**12  # bytes of a file of word embeddings before the embeddings
_AT_A_TIME = 4096  # words between two steps of a progress bar
_SHIPPED = ("nouns", "adjectives", "nouns and adjectives")
_ADJECTIVE_TEMPLATE = "this is a {} photo"


def embed_names(
    tower: TextTower,
    names: Sequence[str],
    templates: Sequence[str],
    *,
    shared_prefix: bool = False,
    verbose: bool | int = False,
) -> np.ndarray:
    """Unit-norm mean over prompt templates of the names' text embeddings.

    Parameters
    ----------
    tower : TextTower
    names : sequence of str
        k names or words.
    templates : sequence of str
        Prompts with ``{}`` in the place of the name.
    shared_prefix : bool, default=False
        Whether to compute what stands before the name once for all names, where the tower allows it: many
        times cheaper for long lists, equal up to rounding.
    verbose : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    ndarray of shape (k, d), float32

    Raises
    ------
    VocabularyError
        If a prompt is too long for the tower, or there is no name.
    """
    if len(names) == 0:
        raise VocabularyError("there are no names to embed.")
    around = (tower, tuple(templates), shared_prefix)
    return embedded_once(
        [(around, name) for name in names],
        lambda new: _embed(tower, [names[i] for i in new], templates, shared_prefix, verbose),
    )


def _embed(
    tower: TextTower,
    names: Sequence[str],
    templates: Sequence[str],
    shared_prefix: bool,
    verbose: bool | int,
) -> np.ndarray:
    total: Any = 0
    with progress_bar(len(names) * len(templates), "encoding words", "word", verbose) as bar:
        for template in templates:
            parts = []
            for start in range(0, len(names), _AT_A_TIME):
                parts.append(_embed_in(tower, template, names[start : start + _AT_A_TIME], shared_prefix))
                bar.update(len(parts[-1]))
            total = total + np.concatenate(parts)
    return total / np.linalg.norm(total, axis=1, keepdims=True)


def _embed_in(tower: TextTower, template: str, names: Sequence[str], shared_prefix: bool) -> np.ndarray:
    prefix, _, suffix = template.partition("{}")
    if shared_prefix and tower.causal and prefix.strip() and not suffix:
        from .prompts.encoding import embed_behind

        return embed_behind(tower, prefix.strip(), names)
    return tower.encode([template.format(name) for name in names])


@lru_cache(maxsize=8)
def _slot(backbone: Backbone, words: tuple[str, ...], templates: tuple[str, ...]) -> list[np.ndarray]:
    """Where the embeddings of a word list are kept in this process, empty at first."""
    return []


def embed_words(
    backbone: Backbone, words: tuple[str, ...], templates: tuple[str, ...], verbose: bool | int = False
) -> np.ndarray:
    """Embeddings (w, d) of a word list, read-only, made once for a backbone on this machine.

    They are rounded to float16 before anything sees them, so that a file that holds them in float16 gives
    the same bits. They are kept in the folder that the environment variable ``SKNEG_CACHE`` names, by
    default ``~/.cache/skneg``, under a checksum of the text tower's weights.
    """
    slot = _slot(backbone, words, templates)
    if not slot:
        slot.append(_made_once(backbone, words, templates, verbose))
    return slot[0]


def _made_once(
    backbone: Backbone, words: tuple[str, ...], templates: tuple[str, ...], verbose: bool | int
) -> np.ndarray:
    tower = [backbone.text_checksum, backbone.settings["activation"], str(backbone.text_tower._dtype)]
    facts = [_FORMAT, tower, list(words), list(templates)]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
    file = cache_folder() / "words" / f"{key}.safetensors"
    shape = (len(words), backbone.text_tower.embed_dim)
    # Of jobs that start at the same time one embeds the list, and the others read it.
    with alone(cache_folder() / ".lock"):
        embeddings = _read_kept(file, key, shape)
        if embeddings is None:
            try:
                embeddings = _embed(backbone.text_tower, words, templates, True, verbose)
            except VocabularyError as error:
                raise VocabularyError(
                    f"the word list has a word that is too long for the text tower: {error}"
                ) from error
            embeddings = embeddings.astype(np.float16)
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                write_bytes(file, pack({"key": key}, {"words": embeddings}), durable=False)
                make_room(file.parent, space(file), size_limit(), lambda: file.parent.glob("*.safetensors*"))
            except (OSError, RuntimeError) as error:  # a home folder that cannot be written costs time only
                told = f"no word embeddings kept in {file.parent}: {why_not_kept(error)}. Take another"
                warn(f"{told} folder, as SKNEG_CACHE, to save time.", CacheWarning)
    embeddings = embeddings.astype(np.float32)
    embeddings.setflags(write=False)
    return embeddings


def _read_kept(file: Path, key: str, shape: tuple[int, int]) -> np.ndarray | None:
    if not file.exists():
        return None
    try:
        data = read_bytes(file, largest=_LONGEST_HEAD + 2 * shape[0] * shape[1])
        header, tensors = unpack(data, str(file))
        kept = tensors["words"]
        used_now(file)
        is_right = header == {"key": key} and kept.shape == shape and kept.dtype == np.float16
        return kept if is_right and np.isfinite(kept).all() else None
    except (PersistenceError, KeyError) as error:
        logging.getLogger(__name__).info("word embeddings are made again: %s", error)
        return None


class Words(BaseEstimator):
    """Which words become negatives.

    Parameters
    ----------
    words : {"nouns", "adjectives", "nouns and adjectives"} or sequence of str, default="nouns"
        The list; the first three are those of `skneg.datasets.load_words`.
    max_cosine : float, default=0.9
        Words whose embedding is at least as close to a class name's are left out: they mean the class.
        Anything above 1 leaves out none.
    fraction : float, default=1.0
        Share of the list to keep, of the words least like the class names.
    quantile : float, default=0.95
        A word is as like the class names as this quantile of its cosines to them.
    selection : {"text", "images"}, default="text"
        What `fraction` goes by: ``"text"`` compares a word with the class names. ``"images"`` compares it
        with the mean image of each class [1]_: kept are the words that are less like every mean image than
        its class name is, those with the largest mean difference first. It needs labelled images.

    References
    ----------
    .. [1] "InterNeg", CVPR 2026: negative words by their cosine to ID images.

    Examples
    --------
    >>> from skneg import Words
    >>> Words(fraction=0.15, max_cosine=0.95).get_params()["fraction"]
    0.15
    """

    def __init__(
        self,
        words: str | Sequence[str] = "nouns",
        *,
        max_cosine: float = 0.9,
        fraction: float = 1.0,
        quantile: float = 0.95,
        selection: str = "text",
    ) -> None:
        self.words = words
        self.max_cosine = max_cosine
        self.fraction = fraction
        self.quantile = quantile
        self.selection = selection

    def check(self) -> None:
        """Refuse settings that are not usable."""
        check_between("max_cosine", self.max_cosine, -1, np.inf)
        check_between("fraction", self.fraction, 0, 1 + 1e-9)
        check_between("quantile", self.quantile, 0, 1)
        check_option("selection", self.selection, ("text", "images"))
        if not isinstance(self.words, str):
            check_words(self.words)
        elif self.words not in _SHIPPED:
            raise InputTypeError(
                f"words is one string ({self.words!r}); give a sequence of words, or one of {_SHIPPED}."
            )

    def embed(
        self, backbone: Backbone, templates: Sequence[str], verbose: bool | int = False
    ) -> tuple[list[str], np.ndarray]:
        """The words and their embeddings (w, d); shipped adjectives stand in a template of their own."""
        templates = tuple(templates)
        if not isinstance(self.words, str):
            return list(self.words), embed_words(backbone, tuple(self.words), templates, verbose)
        from .datasets import load_words

        listed = {"nouns": load_words("nouns"), "adjectives": load_words("adjectives")}
        words: list[str] = []
        parts = []
        for kind in self.words.split(" and "):
            taken = set(words)
            own = tuple(word for word in listed[kind] if word not in taken)
            words += own
            around = (_ADJECTIVE_TEMPLATE,) if kind == "adjectives" else templates
            parts.append(embed_words(backbone, own, around, verbose))
        return words, parts[0] if len(parts) == 1 else np.concatenate(parts)

    def choose(
        self,
        words: Sequence[str],
        embeddings: np.ndarray,
        positive: np.ndarray,
        names: Sequence[str],
        rank: np.ndarray | None = None,
        among: np.ndarray | None = None,
        cosines: np.ndarray | None = None,
    ) -> np.ndarray:
        """Rows of the words that become negatives: in the list's order if all are kept, else best first.

        Parameters
        ----------
        words : sequence of str
            Empty where they came as embeddings.
        embeddings : ndarray of shape (w, d)
        positive : ndarray of shape (k, d)
            Text embeddings of the class names.
        names : sequence of str
        rank : ndarray of int, optional
            Rows by `image_rank`, for ``selection="images"``.
        among : ndarray of bool of shape (w,), optional
            Which words to choose from.
        cosines : ndarray of shape (w, k), optional
            Those of words and class names, where they are at hand.
        """
        if cosines is None:
            cosines = embeddings @ positive.T
        known = {name.casefold().replace("_", " ") for name in names}
        allowed = cosines.max(axis=1) < self.max_cosine
        allowed[[i for i, word in enumerate(words) if word.casefold().replace("_", " ") in known]] = False
        if among is not None:
            allowed &= among
        n_kept = max(1, round(self.fraction * (len(embeddings) if among is None else int(among.sum()))))
        if rank is not None:
            kept = rank[allowed[rank]][:n_kept]
        elif self.fraction >= 1:
            kept = np.flatnonzero(allowed)
        else:
            rows = np.flatnonzero(allowed)
            likeness = row_quantile(cosines if len(rows) == len(cosines) else cosines[rows], self.quantile)
            kept = rows[np.argsort(likeness, kind="stable")[:n_kept]]
        if len(kept) == 0:
            raise VocabularyError(
                "nothing is left to be a negative: each word is a class name, or closer to one than "
                f"max_cosine={self.max_cosine}. Give more words, or raise max_cosine."
            )
        return kept


def image_rank(
    words: np.ndarray, Z: np.ndarray, targets: np.ndarray | None, positive: np.ndarray
) -> np.ndarray:
    """Rows of words that are less like every class's images than its name is, the least like first.

    A word n is kept where ``n.v_c < t_c.v_c`` for all classes c that have images; the order is by the mean
    over these classes of ``t_c.v_c - n.v_c``, with v_c the mean image embedding and t_c the name's
    embedding (InterNeg, CVPR 2026). Where names say so little of the images that no word is left, all
    words are kept in this order.

    Parameters
    ----------
    words : ndarray of shape (w, d)
    Z : ndarray of shape (n, d)
        Image embeddings.
    targets : ndarray of shape (n,), int
        Their classes; None, for images without labels, is refused.
    positive : ndarray of shape (k, d)
        Text embeddings of the class names.

    Returns
    -------
    ndarray of int

    Raises
    ------
    InputError
        If there are no labels.
    """
    if targets is None:
        raise InputError("words chosen by images need labelled images: give y to fit, or selection='text'.")
    means = class_means(Z, targets)
    gap = np.einsum("kd,kd->k", positive[np.unique(targets)], means) - words @ means.T
    allowed = np.flatnonzero((gap > 0).all(axis=1))
    if len(allowed) == 0:
        allowed = np.arange(len(words))
    return allowed[np.argsort(-gap[allowed].mean(axis=1), kind="stable")]


def class_means(embeddings: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Unit-norm mean embeddings (k, d) of the classes 0 to k - 1 that have images, in their order."""
    means = np.stack([embeddings[targets == c].mean(axis=0) for c in np.unique(targets)])
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def read_word_bank(word_bank: Any, parameter: str = "word_bank") -> tuple[list[str], np.ndarray | None]:
    """The words, checked, and their embeddings where they are given."""
    embeddings = None
    if isinstance(word_bank, Mapping):
        words, embeddings = list(word_bank), list(word_bank.values())
    elif isinstance(word_bank, tuple) and len(word_bank) == 2 and not isinstance(word_bank[0], str):
        words, embeddings = word_bank
    else:
        words = word_bank
    if isinstance(words, str | bytes | set | frozenset) or not hasattr(words, "__iter__"):
        raise InputTypeError(
            f"{parameter} must be a sequence of words, a mapping of word to embedding, or a pair (words, "
            f"embeddings), got {words!r}."
        )
    words = list(words)
    check_words(words, parameter)
    if embeddings is None:
        return words, None
    try:
        matrix = np.asarray(embeddings, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputTypeError(f"the embeddings of {parameter} are no matrix of numbers: {error}") from error
    if matrix.ndim != 2 or len(matrix) != len(words):
        raise InputError(
            f"{parameter} has {len(words)} words and embeddings of shape {matrix.shape}; one row for each is "
            "needed."
        )
    return words, matrix


def as_words(value: Any, default: Words) -> Words:
    """A `words` parameter as `Words`: a list alone takes the other settings of the default."""
    if value is None:
        return default
    return value if isinstance(value, Words) else clone(default).set_params(words=value)


def check_words(words: Any, parameter: str = "words", *, fold: bool = False) -> None:
    """Words must be distinct texts, at least one; with `fold`, case and blanks around them do not count."""
    if isinstance(words, str):
        raise InputTypeError(f"{parameter} is one string ({words!r}); give a sequence of words.")
    if not isinstance(words, Iterable):
        raise InputTypeError(f"{parameter} must be a sequence of words, got {words!r:.200}.")
    seen: dict[str, int] = {}
    for row, word in enumerate(words):
        if not isinstance(word, str):
            raise InputTypeError(f"{parameter}[{row}] is {word!r}, expected a word.")
        if not word.strip():
            raise VocabularyError(f"{parameter}[{row}] is empty ({word!r}).")
        key = word.strip().casefold() if fold else word
        if key in seen:
            raise VocabularyError(f"{parameter} has {word!r} twice, at {seen[key]} and {row}.")
        seen[key] = row
    if not seen:
        raise VocabularyError(f"{parameter} is empty; give at least one word.")
