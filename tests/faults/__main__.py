"""``python -m tests.faults``: every fault by every way in, and the table of docs/reliability.md."""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # a fork copies no threads
os.environ["SKNEG_CACHE"] = tempfile.mkdtemp(prefix="skneg-tests-")

import numpy as np
import torch

from .._forked import REFUSED, RIGHT, outcomes
from ._detector_trials import detector_trials
from ._read_trials import read_trials
from ._saved_trials import saved_trials
from ._stream_trials import stream_trials

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
SECONDS, MEGABYTES = 60, 400  # of a trial; the machine may have other work
# By how the text of an outcome begins; anything else is an error that is no SknegError.
VERDICTS = {
    REFUSED: "refused", RIGHT: "right", "wrong": "wrong", "TimeoutError": "hang", "MemoryError": "memory",
}  # fmt: skip
FAILED = ("wrong", "crash", "hang", "memory")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--sample", type=int, help="so many trials only, drawn by --seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="trials whose name matches this regular expression")
    parser.add_argument("--write", action="store_true", help="write the table into docs/reliability.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="skneg-tests-") as folder:
        os.chdir(folder)
        place = Path(folder) / "trials"
        place.mkdir()
        kinds = (detector_trials, saved_trials, read_trials, stream_trials)
        trials = [trial for kind in kinds for trial in kind(place)]
        trials = [trial for trial in trials if re.search(options.only, str(trial))]
        if options.sample:
            rows = np.random.default_rng(options.seed).permutation(len(trials))[: options.sample]
            trials = [trials[row] for row in rows]
        counts: dict[str, Counter[str]] = {}
        slowest, largest, n_failed = 0.0, 0.0, 0
        made = outcomes(lambda row: trials[row].run(), 0, len(trials), seconds=SECONDS, megabytes=MEGABYTES)
        for row, outcome in made:
            verdict = VERDICTS.get(outcome.told.partition(":")[0], "crash")
            counts.setdefault(trials[row].fault, Counter())[verdict] += 1
            slowest, largest = max(slowest, outcome.seconds), max(largest, outcome.megabytes)
            if verdict in FAILED:
                n_failed += 1
                print(f"{verdict}: {trials[row]}\n    {outcome.told}\n", flush=True)
        os.chdir("/")
    lines = _table(counts)
    minutes = (time.monotonic() - began) / 60
    lines += ["", f"{len(trials)} trials in {minutes:.0f} minutes, each in {slowest:.1f} s (of {SECONDS}) "
              f"and {largest:.0f} MB (of {MEGABYTES}) at most."]  # fmt: skip
    print("\n".join(lines))
    if options.write:
        text = PAGE.read_text()
        head, _, rest = text.partition("<!-- trials -->\n")
        _, mark, tail = rest.partition("<!-- end of trials -->\n")
        assert mark, f"{PAGE} has no place for the table"
        PAGE.write_text("\n".join([head + "<!-- trials -->", *lines, mark + tail]))
    return min(n_failed, 1)


def _table(counts: dict[str, Counter[str]]) -> list[str]:
    """A row for each kind of fault."""
    columns = ("refused", "right", *FAILED)
    total = sum(counts.values(), Counter())
    rows = [*sorted(counts.items()), ("all", total)]
    head = ["| what is not as it should be | trials | " + " | ".join(columns) + " |", "|---" * 8 + "|"]
    return head + [
        f"| {fault} | {sum(count.values())} | " + " | ".join(str(count[column]) for column in columns) + " |"
        for fault, count in rows
    ]


if __name__ == "__main__":
    sys.exit(main())
