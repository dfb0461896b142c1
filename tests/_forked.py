"""Calls in forked processes, whose time and memory are limited and measured."""

import contextlib
import os
import resource
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from pathlib import Path
from typing import NamedTuple

from skneg import SknegError, SknegWarning

REFUSED, RIGHT = "refused", "right"
_BATCH = 100  # calls of one process: what it keeps must not add up
_SLACK = 2**28  # bytes of addresses that allocators reserve and do not use


class Outcome(NamedTuple):
    """Refused, right, or a text that begins with what is wrong; and what the call took."""

    told: str
    seconds: float = 0
    megabytes: float = 0


def outcomes(
    call: Callable[[int], str], first: int, last: int, *, seconds: float, megabytes: float
) -> Iterator[tuple[int, Outcome]]:
    """Numbers, and what comes of a call of each: what it gives, or refused where it raises a `SknegError`.

    Python's warnings are as bad as errors, skneg's own are not heard.
    """
    while first < last:
        for outcome in _batch(call, range(first, min(last, first + _BATCH)), seconds, megabytes):
            yield first, outcome
            first += 1


def _batch(call, numbers, seconds, megabytes):
    """Outcomes in one process, which a failure may end before the last."""
    receive, send = Pipe(duplex=False)
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            _work(call, numbers, megabytes, send)
        os._exit(0)  # nothing of the parent's is to be cleaned up
    send.close()
    try:
        for _ in numbers:
            if not receive.poll(seconds):
                yield Outcome(f"TimeoutError: it takes more than {seconds} s", seconds)
                return
            yield receive.recv()
    except EOFError:
        yield Outcome("EOFError: the process has ended")
    finally:
        receive.close()
        os.kill(child, 9)
        os.waitpid(child, 0)


def _work(call, numbers, megabytes, send):
    for descriptor in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    addresses = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    most = addresses + megabytes * 2**20 + _SLACK
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", SknegWarning)
    for number in numbers:
        send.send(_outcome(call, number, megabytes))


def _outcome(call, number, megabytes):
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is in use
    before, began = _peak(), time.monotonic()
    try:
        told = call(number)
    except SknegError:
        told = REFUSED
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        told = f"{type(error).__name__} in {place.filename}:{place.lineno}: {error}"[:500]
    took = (_peak() - before) / 1024
    if took >= megabytes:
        told = f"MemoryError: {told}, and takes {took:.0f} MB"
    return Outcome(told, time.monotonic() - began, took)


def _peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
