"""A stream under way: what it has left so far, and how it goes on."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from sklearn.base import clone

from .._utils import finite
from ..errors import PersistenceError
from ._adaptation import Adaptation, Static, fields_fit

_PARTS = ("memory", "waiting", "waiting_scores", "n_seen", "order")


def _read_only(part: Any) -> Any:
    if not isinstance(part, np.ndarray):
        return part
    view = part.view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True)
class StreamState:
    """What a stream has left; see `StreamDetector.state_`.

    Attributes
    ----------
    n_seen : int
        Images given to `partial_score` and `partial_predict`, and those of `unlabelled`.
    n_moved : int
        Of these, the ones that have moved the score; the others wait for a full block.
    order : str
        A hash (hexadecimal) of their embeddings in their order. Two streams with the same hash have
        shown the same images in the same order.
    seed : int
        What the adaptation has drawn at random with.
    memory : dict of str to array or number
        The memory of the adaptation.
    """

    n_seen: int
    n_moved: int
    order: str
    seed: int
    memory: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Running:
    """A memory with the images that wait, and the shift that belongs to it; replaced as a whole.

    Attributes
    ----------
    adaptation : Adaptation
    static : Static
    seed : int
    memory : mapping
    shift : float
        What moved scores are shifted by, so that the threshold stays.
    reference : ndarray of shape (m,)
        Sorted moved scores of the known images.
    waiting, waiting_scores : ndarray of shape (w, d) and (w,)
        Images that have not moved the memory yet, and their static scores.
    n_seen : int
    order : str
        A hash of all images in their order.
    """

    adaptation: Adaptation
    static: Static
    seed: int
    memory: Mapping[str, Any]
    waiting: np.ndarray
    waiting_scores: np.ndarray = field(default_factory=lambda: np.empty(0))
    n_seen: int = 0
    order: str = hashlib.sha256(b"").hexdigest()
    shift: float = 0.0
    reference: np.ndarray = field(default_factory=lambda: np.empty(0))

    @classmethod
    def begin(cls, adaptation: Adaptation, static: Static, seed: int) -> Self:
        """A stream that has not begun."""
        memory = adaptation.start(static, seed)
        return cls(clone(adaptation), static, seed, memory, static.embeddings[:0]).measured()

    def measured(self) -> Self:
        """With the shift that keeps as many known images below the threshold as before any move."""
        scores = self.adaptation.score_known(self.static, dict(self.memory))
        ordered, before = np.sort(finite(scores)), np.sort(self.static.scores)
        offset = self.static.state.offset_
        below = int((before < offset).sum())
        place = min(below, len(before) - 1)
        shift = float(before[place] - ordered[place])
        if below in (0, len(before)):  # beyond all known images: as many of their spreads away as before
            away = (before[place] - offset) / self.static.spread * ordered.std()
            shift = float(offset - (ordered[place] - away))
        return replace(self, shift=shift, reference=ordered + shift)

    def score(self, Z: np.ndarray, s: np.ndarray) -> np.ndarray:
        """Moved scores (n,) of embeddings with static scores s."""
        scores = self.adaptation.score_in_blocks(self.static, dict(self.memory), Z, s)
        return finite(scores + self.shift)

    def after(self, Z: np.ndarray, s: np.ndarray, every: int) -> tuple[np.ndarray, Self]:
        """Scores (n,) of embeddings in their order, and the stream after them, moved each `every`."""
        now, scores, done = self, [], 0
        while done < len(Z):
            step = slice(done, done + max(1, every - len(now.waiting)))
            block, own = Z[step], s[step]
            scores.append(now.score(block, own))
            order = bytes.fromhex(now.order)
            for row in block:  # one at a time: the hash does not tell how embeddings were cut
                order = hashlib.sha256(order + np.ascontiguousarray(row).tobytes()).digest()
            waiting = np.concatenate([now.waiting, block])
            theirs = np.concatenate([now.waiting_scores, own])
            n_seen, done = now.n_seen + len(block), done + len(block)
            now = replace(now, waiting=waiting, waiting_scores=theirs, n_seen=n_seen, order=order.hex())
            if len(waiting) >= every:
                memory = now.adaptation.move(now.static, dict(now.memory), waiting, theirs)
                now = replace(now, memory=memory, waiting=waiting[:0], waiting_scores=theirs[:0])
                now = now.measured()
        return np.concatenate(scores), now

    def shown(self) -> StreamState:
        """What users see of it."""
        n_moved = self.n_seen - len(self.waiting)
        memory = {name: _read_only(part) for name, part in self.memory.items()}
        return StreamState(self.n_seen, n_moved, self.order, self.seed, memory)

    def as_values(self) -> dict[str, Any]:
        """What tells it from others of the same detector, for a file."""
        values = {name: getattr(self, name) for name in _PARTS}
        constant = self.adaptation.constant
        return {**values, "memory": {name: p for name, p in self.memory.items() if name not in constant}}

    def restored(self, values: Any, every: int) -> Self:
        """The stream that `as_values` came from, if this is it before it began; else an error."""
        own = self.as_values()
        if not fields_fit(values, own) or not fields_fit(values["memory"], own["memory"]):
            raise PersistenceError("its stream has other parts than its adaptation remembers.")
        waiting, n_seen, order = (values[name] for name in ("waiting", "n_seen", "order"))
        # As many may wait as there are, where `every` was larger while they came.
        is_whole = len(waiting) == len(values["waiting_scores"]) <= n_seen
        if not is_whole or not re.fullmatch("[0-9a-f]{64}", order):
            raise PersistenceError(f"its stream of {n_seen} images has {len(waiting)} that wait, or no hash.")
        now = replace(self, **{**values, "memory": {**self.memory, **values["memory"]}}).measured()
        # Every part takes part in a move: what does not fit is found now.
        one = self.static.embeddings[:1], self.static.scores[:1]
        self.adaptation.move(self.static, dict(now.memory), *one)
        now.after(*one, every)
        return now
