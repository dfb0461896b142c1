"""How long a command takes to start, beside bare Python: ``python benchmarks/startup.py``.

Median of wall seconds over fresh processes on the shipped model; the files of Python lie in the disk cache.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from PIL import Image

from skneg import MCMDetector
from skneg.datasets import make_scenes


def seconds(command: list[str], times: int) -> float:
    """Median wall time of a command, after one run that is not counted."""
    taken = []
    for _ in range(times + 1):
        began = perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        taken.append(perf_counter() - began)
    return median(taken[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=7, help="processes per row")
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory() as folder:
        detector, image = f"{folder}/detector.skneg", f"{folder}/image.png"
        X, y = make_scenes(120, shapes=["star", "heart", "key"], random_state=0)
        MCMDetector(model="skneg-tiny").fit(X, y).save(Path(detector))
        Image.fromarray(X[0]).save(image)
        python, skneg = [sys.executable], [sys.executable, "-m", "skneg"]
        rows = {
            "python -c pass": [*python, "-c", "pass"],
            "import skneg": [*python, "-c", "import skneg"],
            "skneg --help": [*skneg, "--help"],
            "skneg info FILE": [*skneg, "info", detector],
            "skneg detectors": [*skneg, "detectors"],
            "skneg predict FILE IMAGE": [*skneg, "predict", detector, image],
        }
        taken = {name: seconds(command, times) for name, command in rows.items()}
    bare = taken["python -c pass"]
    print(f"| Median of {times} processes | Seconds | Times bare Python |")
    print("|---|---|---|")
    for name, value in taken.items():
        print(f"| `{name}` | {value:.3f} | {value / bare:.1f} |")


if __name__ == "__main__":
    main()
