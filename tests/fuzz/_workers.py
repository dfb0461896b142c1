"""Inputs in forked processes, whose time and memory are limited and measured."""

import contextlib
import os
import resource
import shutil
import tempfile
import warnings
from multiprocessing import Pipe
from pathlib import Path

from skneg import SknegError

from ._target import REFUSED

_BATCH = 500  # inputs of one process: what it keeps must not add up
_SLACK = 2**28  # bytes of addresses that allocators reserve and do not use


def outcomes(target, seed, first, last):
    """For each of the inputs in turn: its number, and refused, right or a text that says what is wrong."""
    number = first
    while number < last:
        for number, told in enumerate(_batch(target, seed, number, min(last, number + _BATCH)), number):
            yield number, told
        number += 1


def _batch(target, seed, first, last):
    """The outcomes of one process, which may end before the last."""
    receive, send = Pipe(duplex=False)
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            receive.close()
            _work(target, seed, range(first, last), send)
        os._exit(0)
    send.close()
    done = 0
    try:
        while done < last - first:
            if not receive.poll(target.seconds):
                yield f"it takes more than {target.seconds} s"
                return
            yield receive.recv()
            done += 1
    except EOFError:
        yield f"the process ended, with status {os.waitpid(child, 0)[1]}"
        child = None
    finally:
        receive.close()
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, 9)
            os.waitpid(child, 0)


def _work(target, seed, numbers, send):
    for descriptor in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    addresses = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    most = addresses + target.megabytes * 2**20 + _SLACK
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    warnings.simplefilter("ignore")
    folder = Path(tempfile.mkdtemp(prefix="skneg-fuzz-"))
    try:
        for number in numbers:
            send.send(_outcome(target, target.input(seed, number), folder))
    finally:
        shutil.rmtree(folder)


def _outcome(target, data, folder):
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is in use
    before = _peak()
    try:
        told = target.check(data, folder)
    except SknegError:
        told = REFUSED
    except Exception as error:
        place = error.__traceback__
        while place.tb_next:
            place = place.tb_next
        code = place.tb_frame.f_code
        return f"{type(error).__name__} in {code.co_filename}:{place.tb_lineno}: {error}"[:500]
    took = (_peak() - before) / 1024
    return told if took < target.megabytes else f"{told}, and takes {took:.0f} MB"


def _peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
