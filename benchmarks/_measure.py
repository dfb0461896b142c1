"""What the scripts of this folder measure with: seconds, memory, one line of JSON a figure."""

from __future__ import annotations

import json
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any


def clock(device: str = "cpu") -> float:
    """Seconds of the processor, which do not count what else a machine does; of the wall for a GPU."""
    return time.process_time() if device == "cpu" else now(device)


def now(device: str = "cpu") -> float:
    """Seconds of the wall, once a GPU has done what it was given."""
    if device != "cpu":
        import torch

        torch.cuda.synchronize()
    return time.perf_counter()


def best(call: Callable[[], Any], repeats: int = 3, device: str = "cpu") -> float:
    """Seconds of the cheapest of some calls, by the `clock` of the device."""
    seconds = []
    for _ in range(repeats):
        start = clock(device)
        call()
        seconds.append(clock(device) - start)
    return min(seconds)


def peak(call: Callable[[], Any]) -> float:
    """MiB that Python, and so numpy, allocates in a call at most; torch's tensors do not count."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def memory_mib(kind: str) -> float:
    """Memory of this process in MiB, as a line of /proc/self/status tells it; Linux only.

    ``"VmHWM"`` is the peak, not that of getrusage, which a process takes over from the one that started it;
    ``"RssAnon"`` is what belongs to no file.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(kind)) / 1024


def peak_gib(device: str = "cpu") -> float:
    """Most memory that this process has had, in GiB, or that torch has had on the GPU."""
    if device != "cpu":
        import torch

        return round(torch.cuda.max_memory_allocated() / 2**30, 2)
    return round(memory_mib("VmHWM") / 1024, 2)


def show(**figures: Any) -> None:
    """One line of JSON, written at once."""
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


def row(work: str, ours_s: float, anchor: str, anchor_s: float, **more: Any) -> None:
    """A line of the table of docs/performance.md: ours beside what the hardware or a plain program does."""
    show(
        work=work, ours_s=round(ours_s, 4), anchor=anchor, anchor_s=round(anchor_s, 4),
        ratio=float(f"{ours_s / anchor_s:.3g}"), **more,
    )  # fmt: skip
