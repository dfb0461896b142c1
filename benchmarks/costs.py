"""What a start of skneg costs: figures of docs/performance.md.

    OMP_NUM_THREADS=1 python benchmarks/costs.py [--repeats 3]

All seconds are those of the processor, on one thread: they do not count what else a machine does.
Whole processes, with the peak of their memory, on the shipped model. The least of the repeats is printed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from _measure import show

from skneg import CLIPImageEncoder, NegPromptDetector
from skneg.datasets import make_scenes

COMMAND = "from skneg.__main__ import main; main({})"
PREDICT = "import numpy as np, skneg; skneg.load('d.skneg').predict(np.load('{}'))"
PROCESSES = {
    "python -c pass": "",
    "import skneg": "import skneg",
    "skneg --help": COMMAND.format(["--help"]),
    "skneg detectors": COMMAND.format(["detectors"]),
    "skneg info FILE": COMMAND.format(["info", "d.skneg"]),
    "load a file, predict from an embedding": PREDICT.format("embedding.npy"),
    "load a file, predict from an image": PREDICT.format("image.npy"),
}
# At the end, which `--help` comes to as well. Not getrusage's peak, which a process takes over from the one
# that started it.
USED = """
import atexit, time
@atexit.register
def used():
    peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))
    print(time.process_time(), int(peak.split()[1]) / 1024)
"""


def start_up(repeats: int) -> None:
    X, y = make_scenes(120, shapes=["star", "heart", "key"], random_state=0)
    detector = NegPromptDetector(model="skneg-tiny", random_state=0).fit(X, y)
    with TemporaryDirectory() as folder:
        detector.save(Path(folder, "d.skneg"))
        np.save(Path(folder, "image.npy"), X[:1])
        np.save(Path(folder, "embedding.npy"), CLIPImageEncoder(model="skneg-tiny").transform(X[:1]))
        path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        for what, code in PROCESSES.items():
            command = [sys.executable, "-c", USED + code]
            env = {**os.environ, "PYTHONPATH": path}
            done = [
                subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True, text=True)
                for _ in range(repeats)
            ]
            seconds, peak = np.min([np.array(run.stdout.split()[-2:], dtype=float) for run in done], axis=0)
            show(process=what, seconds=round(seconds, 2), peak_mib=round(peak))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    start_up(options.repeats)


if __name__ == "__main__":
    main()
