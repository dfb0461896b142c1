"""One trial: a fault, a way in, and what must come of it; and children in which trials are made."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NamedTuple

from sklearn.exceptions import NotFittedError

from skneg.errors import SknegError, SknegWarning

SECONDS = 60  # of the clock, on a machine that has other work
MIB = 400  # more than at the trial's beginning
_BATCH = 50  # trials a child makes; what one leaves behind meets these others only


@dataclass(frozen=True)
class Trial:
    """Without a check the call must be refused by a typed error."""

    fault: str
    kind: str
    entry: str
    subject: str
    call: Callable[[], Any]
    check: Callable[[Any], bool] | None = None
    may_refuse: bool = False

    def __str__(self) -> str:
        return f"{self.fault}: {self.kind} / {self.entry} / {self.subject}"


class Outcome(NamedTuple):
    """What came of a trial."""

    verdict: str  # "right" or "refused"; else "wrong", "crash", "hang", "memory"
    told: str
    seconds: float
    mib: float


def run(trials: Sequence[Trial], jobs: int = 2) -> Iterator[tuple[Trial, Outcome]]:
    """Outcomes, in batches; each batch in a child that is forked off this process."""
    context = multiprocessing.get_context("fork")
    todo = [list(range(start, min(start + _BATCH, len(trials)))) for start in range(0, len(trials), _BATCH)]
    at_work: dict[Any, tuple[Any, list[int], float]] = {}
    while todo or at_work:
        while todo and len(at_work) < jobs:
            rows = todo.pop(0)
            ours, theirs = context.Pipe(duplex=False)
            child = context.Process(target=_work, args=(trials, rows, theirs))
            child.start()
            theirs.close()
            at_work[ours] = (child, rows, time.monotonic() + SECONDS)
        wait(list(at_work), timeout=1)
        for pipe, (child, rows, deadline) in list(at_work.items()):
            fate = None
            try:
                while rows and pipe.poll():
                    outcome = Outcome(*json.loads(pipe.recv_bytes()))
                    yield trials[rows.pop(0)], outcome
                    at_work[pipe] = (child, rows, time.monotonic() + SECONDS)
            except EOFError:
                child.join()
                fate = Outcome("crash", f"the process ended with {child.exitcode}", 0, 0)
            if rows and fate is None and time.monotonic() > deadline:
                fate = Outcome("hang", f"no end in {SECONDS} s", SECONDS, 0)
            if fate is not None:
                yield trials[rows.pop(0)], fate
                if rows:
                    todo.insert(0, rows)
            if fate is not None or not rows:
                if fate is not None:
                    child.kill()
                child.join()
                pipe.close()
                del at_work[pipe]


def _work(trials: Sequence[Trial], rows: Sequence[int], pipe: Any) -> None:
    # Whatever a trial asks for, the machine goes on.
    limit = _memory("VmSize") + 8 * 2**10
    resource.setrlimit(resource.RLIMIT_AS, (int(limit) * 2**20,) * 2)
    silent = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(silent, descriptor)
    for row in rows:
        pipe.send_bytes(json.dumps(_judged(trials[row])).encode())
    os._exit(0)  # nothing of the parent's is to be cleaned up


def _judged(trial: Trial) -> Outcome:
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is in use
    before, began = _memory("VmHWM"), time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", SknegWarning)
            found = trial.call()
        if trial.check is None:
            verdict, told = "wrong", f"answered {found!r:.200}"
        else:
            right = trial.check(found)
            verdict, told = ("right", "") if right else ("wrong", f"answered {found!r:.200}")
    except (SknegError, NotFittedError) as error:
        verdict = "refused" if trial.check is None or trial.may_refuse else "wrong"
        told = f"{type(error).__name__}: {error}"
    except BaseException:
        verdict, told = "crash", traceback.format_exc()[-1500:]
    mib = _memory("VmHWM") - before
    if mib > MIB:
        verdict, told = "memory", f"{mib:.0f} MiB. {told}"
    return Outcome(verdict, told, time.monotonic() - began, mib)


def _memory(kind: str) -> float:
    """MiB of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")) / 1024
