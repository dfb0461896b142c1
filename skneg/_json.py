"""JSON of strangers: measured before it is parsed, since a few bytes of text can take a hundred of memory."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

# Each value takes up to some 100 bytes: 400 MB in all. 50,000 images with 80 words each are as many.
MAX_VALUES = 2**22

# Brackets in brackets. An ensemble of ensembles has some 30; Python's own limit can be set so high that its
# parser overflows the stack.
MAX_DEPTH = 100

_BLOCK = 2**18  # bytes that are measured at a time

# What opens (1), closes (2) or separates (3).
_KIND = np.zeros(256, dtype=np.uint8)
_KIND[list(b"[{")], _KIND[list(b"]}")], _KIND[list(b",:")] = 1, 2, 3


def parse_json(
    data: str | bytes | bytearray, what: str, max_values: int = MAX_VALUES, max_depth: int = MAX_DEPTH
) -> Any:
    """`json.loads` of UTF-8 text, refused before it is parsed where it has too many values or is too deep.

    Raises
    ------
    ValueError
        If it is refused, or no JSON; begins with `what`.
    """
    text = data.encode() if isinstance(data, str) else bytes(data)
    n_values, depth = _measured(text)
    if n_values > max_values:
        raise ValueError(f"{what} has {n_values} values, more than {max_values}")
    if depth > max_depth:
        raise ValueError(f"{what} has brackets {depth} deep, more than {max_depth}")
    try:
        return json.loads(text.decode("utf-8-sig"))
    except RecursionError as error:  # of a user with a low limit
        raise ValueError(f"{what} is too deep to be parsed here") from error
    except ValueError as error:
        raise ValueError(f"{what} is no JSON: {error}") from error


def _measured(text: bytes) -> tuple[int, int]:
    """How many values there are at most, and how deep; of what is no JSON, up to the first fault."""
    # Without escapes each quote begins or ends a string, and what stands in strings does not count.
    plain = memoryview(text.replace(rb"\\", b"").replace(rb"\"", b""))
    n_quotes = depth = deepest = 0
    n_values = 1
    for start in range(0, len(plain), _BLOCK):
        block = np.frombuffer(plain[start : start + _BLOCK], dtype=np.uint8)
        quotes = n_quotes + np.cumsum(block == ord('"'))
        marks = _KIND[block]
        marks = marks[(marks > 0) & (quotes % 2 == 0)]
        depths = depth + np.cumsum((marks == 1).astype(np.int64) - (marks == 2))
        n_values += int((marks != 2).sum())
        deepest = max(deepest, int(depths.max(initial=0)))
        n_quotes, depth = int(quotes[-1]), int(depths[-1]) if len(depths) else depth
    return n_values, deepest
