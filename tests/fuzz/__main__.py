"""Damaged and forged input for everything that reads what others wrote; ``make fuzz``, docs/reliability.md.

An input is drawn from the seed, the name of its target and its number, so that a run can be repeated. Inputs
that fail are written to ``build/fuzz``.
"""

import argparse
import importlib
import re
import sys
import time
from collections import Counter
from pathlib import Path

from skneg.backbone import load_backbone

from ._target import REFUSED, RIGHT
from ._workers import outcomes

_MODULES = ["_skneg_files", "_caches", "_texts", "_images", "_models"]
_OUT = Path("build/fuzz")


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.split(";")[0])
    parser.add_argument("--seconds", type=float, default=600, help="for all targets together")
    parser.add_argument("--inputs", type=int, default=10**9, help="for each target, at most")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="part of the names of targets")
    parser.add_argument("--few", action="store_true", help="begin with few files, which are made at once")
    options = parser.parse_args(arguments)
    load_backbone("skneg-tiny")  # once, before the forks
    modules = [importlib.import_module(f"tests.fuzz.{name}") for name in _MODULES]
    targets = [target for module in modules for target in module.targets(not options.few)]
    targets = [target for target in targets if options.only in target.name]
    print("| target | inputs | refused | right | failures |\n|---|---|---|---|---|")
    n_failures = sum(_fuzz(target, options, options.seconds / len(targets)) for target in targets)
    return 1 if n_failures else 0


def _fuzz(target, options, seconds):
    """Print a row of the table; returns how many inputs have failed."""
    counts, places, end = Counter(), set(), time.monotonic() + seconds
    for number, told in outcomes(target, options.seed, options.first, options.first + options.inputs):
        outcome = told if told in (REFUSED, RIGHT) else "failure"
        counts[outcome] += 1
        place = told.partition(": ")[0]
        if outcome == "failure" and place not in places:  # else the same once more
            places.add(place)
            _OUT.mkdir(parents=True, exist_ok=True)
            file = _OUT / f"{re.sub('[^a-z.]+', '-', target.name)}-{options.seed}-{number}"
            file.write_bytes(target.input(options.seed, number))
            print(f"{file}: {told}", file=sys.stderr, flush=True)
        if time.monotonic() > end:
            break
    shown = [target.name, counts.total(), counts[REFUSED], counts[RIGHT], counts["failure"]]
    print(f"| {' | '.join(map(str, shown))} |", flush=True)
    return counts["failure"]


if __name__ == "__main__":
    sys.exit(main())
