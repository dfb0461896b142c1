"""A progress bar where one is wanted, and nothing at all where none is."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any


class _NoBar:
    def update(self, n: int) -> None:
        pass

    def set_postfix(self, **shown: Any) -> None:
        pass


def progress_bar(total: int, doing: str, unit: str, verbose: bool | int) -> AbstractContextManager[Any]:
    """A bar to be updated by numbers of things that are done.

    A silent bar of tqdm would still start a thread, and take a lock that a fork may find held.

    Parameters
    ----------
    total : int
        How many things there are.
    doing : str
        What stands before the bar.
    unit : str
        What is counted.
    verbose : bool or int
        Whether there is a bar.
    """
    if not verbose:
        return nullcontext(_NoBar())
    from tqdm.auto import tqdm

    return tqdm(total=total, desc=doing, unit=unit)
