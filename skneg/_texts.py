"""Names are embedded once: a state for other names takes what it can from the one before it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

# From a text (its name, what stands around it, the tower that reads it) to its embeddings.
Texts = Mapping[Hashable, np.ndarray]

_scope: ContextVar[tuple[Texts, dict[Hashable, np.ndarray]] | None] = ContextVar("texts", default=None)


@contextmanager
def remembering(known: Texts) -> Iterator[Texts]:
    """Within this context, and in this thread, `embedded_once` embeds only what is not known.

    It gives the texts that were asked for, which is what a state keeps: no more than its last change has
    used. They are in no file; a loaded detector embeds the names of its next vocabulary all together, and
    how the last digit is rounded may depend on that.
    """
    used: dict[Hashable, np.ndarray] = {}
    token = _scope.set((known, used))
    try:
        yield used
    finally:
        _scope.reset(token)


def embedded_once(texts: Sequence[Hashable], embed: Callable[[list[int]], np.ndarray]) -> np.ndarray:
    """A row for each text, of which `embed` makes those that are not known from their numbers."""
    scope = _scope.get()
    if scope is None:
        return embed(list(range(len(texts))))
    known, used = scope
    rows = {text: of[text] for of in (known, used) for text in texts if text in of}
    new = [number for number, text in enumerate(texts) if text not in rows]
    if new:
        rows.update(zip((texts[number] for number in new), embed(new), strict=True))
    whole = np.stack([rows[text] for text in texts])
    used.update(zip(texts, whole, strict=True))  # views: what no text needs any more is freed
    return whole
