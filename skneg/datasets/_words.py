"""The word lists that ship with skneg, compiled for it: names of what photographs may show."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from .._utils import check_option


@cache
def load_words(kind: str = "nouns") -> tuple[str, ...]:
    """A word list: candidates for negative labels.

    Parameters
    ----------
    kind : {"nouns", "adjectives"}, default="nouns"
        Concrete nouns, or adjectives of how things look.

    Returns
    -------
    tuple of str
        In alphabetical order.

    Raises
    ------
    InputError
        If there is no such list.

    Examples
    --------
    >>> from skneg.datasets import load_words
    >>> "lighthouse" in load_words("nouns")
    True
    """
    check_option("kind", kind, ("nouns", "adjectives"))
    return tuple((files("skneg.datasets") / "words" / f"{kind}.txt").read_text().split("\n")[:-1])
