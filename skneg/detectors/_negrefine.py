"""NegRefine: CSP without the words that mean a class, and texts that name a class and a word at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils import by_blocks, check_templates
from ..bank import TextBank
from ..errors import InputError, InputTypeError, VocabularyError
from ..words import check_words
from ._csp import CSPDetector

if TYPE_CHECKING:
    from .._state import FittedState
    from ..backbone import Backbone

# Pairs whose embeddings are kept in this process: 64 MiB with 512 columns.
_KEPT = 2**15

# Prompts of one length in a batch, always: then none has anything to do with the bits of another.
_AT_ONCE = 8

Verdicts = Mapping[str, str | Sequence[str] | None] | Sequence[str]


class NegRefineDetector(CSPDetector):
    """CSP with refined words, and texts that name a class and a word at once [1]_.

    An image of a known class may be like a word as well: because the word means part of the class, or because
    the image shows both. Words of the first kind are taken out by `dropped_words`. For the second kind, the 5
    likeliest classes p and 5 likeliest words n of an image make texts "p and n". The score is ``share + 2
    max sigmoid((x.t(p and n) - x.n) / T)``, less 3, its largest value: the first term is CSP's share, the
    second says whether a pair fits the image better than its word alone.

    `dropped_words` stands for the paper's filter: a language model is asked of each word whether it is a
    proper noun, and whether it is a sub-category of the classes most like it. Here the answers are given, so
    that any model, or a person, can make them. ``dropped_words_`` says which of CSP's words were taken
    out; words of the list that CSP did not choose make no difference.

    What differs from the published code: no language model is asked; CSP's words are chosen by the 95 %
    quantile of their cosines, not the maximum; words are not cleaned of digits and signs; adjectives stand in
    the same template as nouns. The score is shifted by a constant, so that values close to the largest keep
    their order.

    The cost: up to 25 texts for each image go through the text tower, so the model is
    needed in predictions on embeddings too. The last 32,768 pairs are kept in memory, and images of one kind
    share most of theirs (docs/detectors.md says how many were needed).

    Parameters
    ----------
    dropped_words : sequence of str or mapping of str, optional
        Words that become no negatives. A mapping says for which classes: from a word to None, for all (a
        proper noun), or to a class name or names that it is a sub-category of, which count while one of
        them is known. Case does not matter.
    adjectives, superclasses, words, n_groups, score_temperature, random_state
        See `CSPDetector`.
    templates : str or sequence of str, default="the nice {}"
        Prompts around class names, words and pairs.
    model, class_names, contamination, text_bank, unknown_label, pretrained, device, precision, \
batch_size, verbose
        See `MCMDetector`. A ready `text_bank` is refused: pairs are made of texts.

    Attributes
    ----------
    text_bank_, negative_words_
        See `NegLabelDetector`.
    dropped_words_ : list of str
        Words that would be negatives, had they not been dropped.

    References
    ----------
    .. [1] Ansari et al., "NegRefine: Refining Negative Label-Based Zero-Shot OOD Detection", ICCV 2025.

    Examples
    --------
    >>> from skneg import NegRefineDetector, Words
    >>> from skneg.datasets import SHAPE_NAMES, make_scenes
    >>> X, y = make_scenes(40, shapes=["star", "heart"], random_state=0)
    >>> detector = NegRefineDetector(
    ...     model="skneg-tiny", words=Words(SHAPE_NAMES, max_cosine=1.01), adjectives=["red"], n_groups=1,
    ...     dropped_words={"fish": None, "crown": "king"}, random_state=0,
    ... )
    >>> detector.fit(X, y).dropped_words_  # "king" is no class here
    ['fish']
    """

    reference = "Ansari et al., ICCV 2025"
    needs = "the text tower in predictions"
    n_likeliest: int = 5
    """Classes, and words, of an image that make pairs."""
    pair_weight: float = 2.0
    """w."""

    def __init__(self, *, dropped_words: Verdicts | None = None, **shared: Any) -> None:
        super().__init__(**shared)
        self.dropped_words = dropped_words

    def _check_parameters(self) -> None:
        super()._check_parameters()
        _verdicts(self.dropped_words)
        if self.text_bank is not None:
            raise InputError(
                "NegRefineDetector makes texts of class names and words, of which a text_bank has none: "
                "leave text_bank=None, or take CSPDetector."
            )

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        chosen = super()._prepare(learned, names)
        bank, words = chosen["text_bank_"], chosen["negative_words_"]
        out = _dropped(_verdicts(self.dropped_words), names)
        kept = [row for row, word in enumerate(words) if _folded(word) not in out]
        if not kept:
            raise VocabularyError("dropped_words takes out every word that CSP chose; give more words.")
        self._check_lengths(names, [words[row] for row in kept])
        return {
            "text_bank_": TextBank(bank.positive, bank.negative[kept]),
            "negative_words_": [words[row] for row in kept],
            "dropped_words_": [word for word in words if _folded(word) in out],
        }

    def _check_lengths(self, names: Sequence[str], words: Sequence[str]) -> None:
        """Refuse names and words that would not fit into the text tower together: not in a prediction."""
        tower = self._backbone().text_tower

        def longest(texts: Sequence[str]) -> str:
            ends = (tower.tokenize(texts) != tower.tokenize([""])[0, -1]).sum(dim=1)
            return texts[int(ends.argmax())]

        pair = _pair(longest(names), longest(words))
        try:
            tower.tokenize([template.format(pair) for template in self._prompts()])
        except VocabularyError as error:
            raise VocabularyError(
                f"the longest class name and the longest word do not fit into the text tower together, as "
                f"{pair!r}: shorten the names, or leave out long words."
            ) from error

    def _prompts(self) -> tuple[str, ...]:
        return tuple(check_templates("templates", self.templates))

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        share = np.expm1(super()._score(state, Z))
        bank, names, words = state.text_bank_, state.class_names_, state.negative_words_
        n_classes, n_words = (min(self.n_likeliest, len(texts)) for texts in (names, words))

        def of_rows(rows: np.ndarray) -> np.ndarray:
            to_words = rows @ bank.negative.T
            p, n = _largest(rows @ bank.positive.T, n_classes), _largest(to_words, n_words)
            pairs, which = np.unique((p[:, :, None] * len(words) + n[:, None]), return_inverse=True)
            texts = [_pair(names[pair // len(words)], words[pair % len(words)]) for pair in pairs]
            vectors = _embedded(self._backbone(), texts, self._prompts())[which.reshape(len(rows), -1)]
            to_pairs = np.einsum("nd,npd->np", rows, vectors).reshape(len(rows), n_classes, n_words)
            beside = np.take_along_axis(to_words, n, axis=1)[:, None]
            return pair_score(to_pairs, beside, self.score_temperature)

        width = bank.positive.shape[1] * n_classes * n_words + len(names) + len(words)
        return share + self.pair_weight * np.expm1(by_blocks(Z, width, of_rows))


def pair_score(to_pairs: np.ndarray, to_words: np.ndarray, temperature: float) -> np.ndarray:
    """Log of the largest share that a pair has beside its word alone.

    Parameters
    ----------
    to_pairs : ndarray of shape (n, n_classes, n_words)
        Cosines of images to the texts of pairs.
    to_words : ndarray of shape (n, 1, n_words)
        Cosines to the words of these pairs.
    temperature : float

    Returns
    -------
    ndarray of shape (n,), float64
    """
    lead = (to_pairs.astype(np.float64) - to_words).max(axis=(1, 2)) / temperature
    return -np.logaddexp(0, -lead)


def _largest(cosines: np.ndarray, n: int) -> np.ndarray:
    return np.argsort(-cosines, axis=1, kind="stable")[:, :n]


def _pair(name: str, word: str) -> str:
    return f"{name} and {word}"


def _folded(word: str) -> str:
    return word.strip().casefold().replace("_", " ")


def _verdicts(dropped: Verdicts | None) -> dict[str, list[str] | None]:
    """From each word to the class names that it belongs to, None where it is no negative of any class."""
    if dropped is None:
        return {}
    if not isinstance(dropped, Sequence | Mapping) or len(dropped) > 0:
        check_words(dropped, "dropped_words", fold=True)
    if not isinstance(dropped, Mapping):
        return {_folded(word): None for word in dropped}
    verdicts: dict[str, list[str] | None] = {}
    for word, of in dropped.items():
        classes = [of] if isinstance(of, str) else of
        if classes is not None and (
            not isinstance(classes, Sequence) or not all(isinstance(name, str) for name in classes)
        ):
            raise InputTypeError(
                f"dropped_words[{word!r}] is {of!r}, expected None, a class name or a list of class names."
            )
        verdicts[_folded(word)] = None if classes is None else [_folded(name) for name in classes]
    return verdicts


def _dropped(verdicts: Mapping[str, Iterable[str] | None], names: Sequence[str]) -> set[str]:
    known = {_folded(name) for name in names}
    return {word for word, of in verdicts.items() if of is None or not known.isdisjoint(of)}


@lru_cache(maxsize=4)
def _kept(backbone: Backbone, templates: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Where embeddings of pairs are kept, the oldest first."""
    return {}


def _embedded(backbone: Backbone, texts: Sequence[str], templates: tuple[str, ...]) -> np.ndarray:
    """Unit-norm mean over templates (t, d) of the texts' embeddings, with the same bits in any company."""
    kept = _kept(backbone, templates)
    found = {text: kept[text] for text in texts if text in kept}
    if new := [text for text in texts if text not in found]:
        total = sum(
            _encoded(backbone.text_tower, [template.format(text) for text in new]) for template in templates
        )
        made = total / np.linalg.norm(total, axis=1, keepdims=True)
        found.update(zip(new, made, strict=True))
        kept.update(zip(new, made.copy(), strict=True))
        for text in list(kept)[: max(0, len(kept) - _KEPT)]:
            kept.pop(text, None)
    return np.stack([found[text] for text in texts])


def _encoded(tower: Any, prompts: Sequence[str]) -> np.ndarray:
    lengths = np.zeros(len(prompts), dtype=int)
    if tower.causal:
        lengths = tower.pooled_positions(tower.tokenize(prompts)).cpu().numpy()
    features = np.empty((len(prompts), tower.embed_dim), dtype=np.float32)
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        for batch in np.split(rows, range(_AT_ONCE, len(rows), _AT_ONCE)):
            full = np.resize(batch, _AT_ONCE)
            features[batch] = tower.encode([prompts[row] for row in full.tolist()])[: len(batch)]
    return features
