"""What a process that is forked off this one must not share with it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

T = TypeVar("T")


def after_fork(renew: Callable[[], Any]) -> None:
    """Have each process that is forked off this one from now on call `renew` first."""
    if hasattr(os, "register_at_fork"):  # nothing is forked on Windows
        os.register_at_fork(after_in_child=renew)


class ForkLock:
    """A lock for threads that is free in a forked process, whoever held it.

    A fork copies a lock as it is, but not the thread that would have released it.

    Examples
    --------
    >>> from skneg._forks import ForkLock
    >>> lock = ForkLock()
    >>> with lock.held():
    ...     pass
    """

    def __init__(self) -> None:
        self._renew()
        after_fork(self._renew)

    def _renew(self) -> None:
        self._lock = threading.RLock()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within this context no other thread of this process is."""
        with self._lock:
            yield


class cached_property(Generic[T]):  # stands in the place of functools'
    """`functools.cached_property` without a lock; before Python 3.12 that one has a lock for all objects.

    Threads that come at the same time compute the same value more than once.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self._name = compute.__name__
        self.__doc__ = compute.__doc__

    def __get__(self, instance: Any, owner: type | None = None) -> T:
        if instance is None:
            return self  # type: ignore[return-value]
        value = self._compute(instance)
        vars(instance)[self._name] = value  # found before this is asked again
        return value
