"""Damaged and forged input for everything that reads what others wrote: ``make fuzz``, docs/reliability.md.

An input is drawn from the seed, the name of its target and its number: the same once more by
``python -m tests.fuzz --only NAME --seed SEED --first NUMBER --inputs 1``. Those that fail are kept.
"""

import argparse
import importlib
import os
import re
import sys
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads of torch would be missing in a fork

from skneg.backbone import load_backbone

from .._forked import REFUSED, RIGHT

_MODULES = ["_skneg_files", "_caches", "_texts", "_images", "_models"]
_FAILURE = "failure"


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=600, help="for all targets together (default: 600)")
    parser.add_argument("--inputs", type=int, default=10**9, help="for each target, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--only", default="", help="part of the names of targets")
    parser.add_argument("--few", action="store_true", help="damage files of few detectors, made in seconds")
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"), help="folder for inputs that fail")
    options = parser.parse_args(arguments)
    load_backbone("skneg-tiny")  # once, before the forks
    modules = [importlib.import_module(f".{name}", __package__) for name in _MODULES]
    targets = [target for module in modules for target in module.targets(not options.few)]
    targets = [target for target in targets if options.only in target.name]
    print("| target | inputs | refused | right | failures |\n|---|---|---|---|---|", flush=True)
    counts = [_fuzz(target, options, options.seconds / len(targets)) for target in targets]
    _print_row("all", sum(counts, Counter()))
    return 1 if any(count[_FAILURE] for count in counts) else 0


def _fuzz(target, options, seconds):
    """How many inputs were refused, right and neither; a row of the table for them."""
    counts, places, end = Counter(), set(), time.monotonic() + seconds
    for number, told in target.outcomes(options.seed, options.first, options.first + options.inputs):
        outcome = told if told in (REFUSED, RIGHT) else _FAILURE
        counts[outcome] += 1
        place = told.partition(": ")[0]
        if outcome == _FAILURE and place not in places:  # else the same once more
            places.add(place)
            options.out.mkdir(parents=True, exist_ok=True)
            file = options.out / f"{re.sub('[^A-Za-z.]+', '-', target.name)}-{options.seed}-{number}"
            file.write_bytes(target.input(options.seed, number))
            print(f"{file}: {told}", file=sys.stderr, flush=True)
        if time.monotonic() > end:
            break
    _print_row(target.name, counts)
    return counts


def _print_row(name, counts):
    shown = (f"{counts[outcome]:,}" for outcome in (REFUSED, RIGHT, _FAILURE))
    print(f"| {name} | {counts.total():,} | {' | '.join(shown)} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
