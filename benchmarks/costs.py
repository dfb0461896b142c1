"""What skneg costs beside prompts and evidence: the figures of docs/performance.md.

    OMP_NUM_THREADS=1 python benchmarks/costs.py [--repeats 3]

All seconds are those of the processor, on one thread: they do not count what else a machine does.
Start-up: whole processes, with the peak of their memory, on the shipped model. Encoding: images a second
through ViT-B-16 with random weights (speed does not depend on them). Scoring: embeddings a second against
class names, negatives and words, by the number of classes. The least of the repeats is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import open_clip
import torch

from skneg import CLIPImageEncoder, NegPromptDetector
from skneg._utils import unit_rows
from skneg.datasets import make_scenes
from skneg.scores import negative_odds

PREDICT = "import numpy as np, skneg; skneg.load('d.skneg').predict(np.load('{}'))"
PROCESSES = {
    "python -c pass": "",
    "import skneg": "import skneg",
    "load a file, predict from an embedding": PREDICT.format("embedding.npy"),
    "load a file, predict from an image": PREDICT.format("image.npy"),
}
# Not getrusage's peak, which a process takes over from the one that started it.
USED = """
import time
peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))
print(time.process_time(), int(peak.split()[1]) / 1024)
"""


def best(call: Callable[[], object], repeats: int) -> float:
    """Processor seconds of the cheapest of some calls."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return min(seconds)


def show(**figures: object) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


def start_up(repeats: int) -> None:
    X, y = make_scenes(120, shapes=["star", "heart", "key"], random_state=0)
    detector = NegPromptDetector(model="skneg-tiny", random_state=0).fit(X, y)
    with TemporaryDirectory() as folder:
        detector.save(Path(folder, "d.skneg"))
        np.save(Path(folder, "image.npy"), X[:1])
        np.save(Path(folder, "embedding.npy"), CLIPImageEncoder(model="skneg-tiny").transform(X[:1]))
        path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        for what, code in PROCESSES.items():
            command = [sys.executable, "-c", code + USED]
            env = {**os.environ, "PYTHONPATH": path}
            done = [
                subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True, text=True)
                for _ in range(repeats)
            ]
            seconds, peak = np.min([np.array(run.stdout.split(), dtype=float) for run in done], axis=0)
            show(process=what, seconds=round(seconds, 2), peak_mib=round(peak))


def encoding(repeats: int) -> None:
    torch.set_num_threads(1)
    network = open_clip.create_model("ViT-B-16").eval()
    pixels = torch.randn(8, 3, 224, 224)
    with torch.inference_mode():
        network.encode_image(pixels)
        seconds = best(lambda: network.encode_image(pixels), repeats)
    show(encode="ViT-B-16", images_per_s=round(8 / seconds, 1))


def scoring(repeats: int) -> None:
    rng = np.random.default_rng(0)

    def rows(n: int) -> np.ndarray:
        return unit_rows(rng.normal(size=(n, 512)).astype(np.float32))

    Z, words = rows(2000), rows(5500)
    for classes in (10, 100, 1000):
        positive, negative = rows(classes), rows(2 * classes)

        def score(positive: np.ndarray = positive, negative: np.ndarray = negative) -> np.ndarray:
            return negative_odds(Z @ positive.T, Z @ negative.T, Z @ words.T)

        show(score="text", classes=classes, embeddings_per_s=round(len(Z) / best(score, repeats)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    start_up(options.repeats)
    encoding(options.repeats)
    scoring(options.repeats)


if __name__ == "__main__":
    main()
