"""Images are read by threads, ahead of what is done with them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def read_ahead(read: Callable[[int], T], n: int, ahead: int = 64) -> Iterator[Iterator[T]]:
    """``read(0)``, ``read(1)`` and so on, while threads work on the next ones.

    Decoding, resizing and hashing are C code, which releases the interpreter lock.

    Parameters
    ----------
    read : callable
        Reads the image of a row.
    n : int
        How many rows there are.
    ahead : int, default=64
        How many rows are read before they are asked for, at most: what fills the memory.

    Yields
    ------
    iterator
        Results in order. An error is raised in its place, and ends the threads.
    """
    if n == 1:  # a thread would cost more than it saves
        yield map(read, range(1))
        return
    pool = ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1))
    try:
        yield _in_order(pool, read, n, ahead)
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(pool: ThreadPoolExecutor, read: Callable[[int], T], n: int, ahead: int) -> Iterator[T]:
    waiting = deque(pool.submit(read, row) for row in range(min(ahead, n)))
    for row in range(ahead, ahead + n):
        if row < n:
            waiting.append(pool.submit(read, row))
        yield waiting.popleft().result()
