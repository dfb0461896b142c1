"""Inputs in forked processes, whose time and memory are limited and measured."""

import contextlib
import os
import resource
import tempfile
import traceback
import warnings
from multiprocessing import Pipe
from pathlib import Path

from skneg import SknegError

from ._target import REFUSED

_BATCH = 500  # inputs of one process: what it keeps must not add up
_SLACK = 2**28  # bytes of addresses that allocators reserve and do not use


def outcomes(target, seed, first, last):
    """The number of each input, and refused, right or a text that says what is wrong."""
    while first < last:
        for told in _batch(target, seed, first, min(last, first + _BATCH)):
            yield first, told
            first += 1


def _batch(target, seed, first, last):
    """Outcomes of inputs in one process, which a failure may end before the last."""
    receive, send = Pipe(duplex=False)
    with tempfile.TemporaryDirectory(prefix="skneg-fuzz-") as folder:
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                _work(target, seed, range(first, last), send, Path(folder))
            os._exit(0)
        send.close()
        try:
            for _ in range(first, last):
                if not receive.poll(target.seconds):
                    yield f"TimeoutError: it takes more than {target.seconds} s"
                    return
                yield receive.recv()
        except EOFError:
            yield "EOFError: the process has ended"
        finally:
            receive.close()
            os.kill(child, 9)
            os.waitpid(child, 0)


def _work(target, seed, numbers, send, folder):
    for descriptor in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    addresses = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    most = addresses + target.megabytes * 2**20 + _SLACK
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    for number in numbers:
        send.send(_outcome(target, target.input(seed, number), folder))


def _outcome(target, data, folder):
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is in use
    before = _peak()
    try:
        told = target.check(data, folder)
    except SknegError:
        told = REFUSED
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} in {place.filename}:{place.lineno}: {error}"[:500]
    took = (_peak() - before) / 1024
    return told if took < target.megabytes else f"MemoryError: {told}, and takes {took:.0f} MB"


def _peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
