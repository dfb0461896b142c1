"""What skneg costs beside prompts and evidence: the figures of docs/performance.md.

    python benchmarks/costs.py [--threads 1] [--repeats 3]

Start-up: whole processes, with the peak of their memory, on the shipped model. Encoding: images a second
through ViT-B-16 with random weights (speed does not depend on them). Scoring: embeddings a second against
class names, negatives and words, by the number of classes. The best of the repeats is printed.
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

from skneg import NegPromptDetector
from skneg._utils import unit_rows
from skneg.datasets import make_scenes
from skneg.scores import negative_odds

PROCESSES = {
    "python -c pass": "",
    "import skneg": "import skneg",
    "load a file, score an embedding": "import skneg; skneg.load('d.skneg').predict(np.load('z.npy'))",
    "load a file, predict an image": "import skneg; skneg.load('d.skneg').predict(np.load('x.npy'))",
}
PEAK = "\nimport resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"


def best(call: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest of some calls."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def show(**figures: object) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


def start_up(repeats: int) -> None:
    X, y = make_scenes(120, shapes=["star", "heart", "key"], random_state=0)
    detector = NegPromptDetector(model="skneg-tiny", random_state=0).fit(X, y)
    with TemporaryDirectory() as folder:
        detector.save(Path(folder, "d.skneg"))
        np.save(Path(folder, "x.npy"), X[:1])
        np.save(Path(folder, "z.npy"), np.ones((1, detector.n_features_in_), dtype=np.float32))
        path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        for what, code in PROCESSES.items():
            loads = "import numpy as np; " if "np." in code else ""
            peaks: list[float] = []
            command = [sys.executable, "-c", loads + code + PEAK]

            def run(command: list[str] = command, peaks: list[float] = peaks) -> None:
                done = subprocess.run(
                    command,
                    cwd=folder,
                    env={**os.environ, "PYTHONPATH": path},
                    check=True,
                    capture_output=True,
                )
                peaks.append(float(done.stdout))

            run()  # the files are in the disk's cache from here on
            show(process=what, seconds=round(best(run, repeats), 2), peak_mib=round(max(peaks)))


def encoding(threads: int, repeats: int) -> None:
    import open_clip
    import torch

    torch.set_num_threads(threads)
    network = open_clip.create_model("ViT-B-16").eval()
    pixels = torch.randn(16, 3, 224, 224)
    with torch.inference_mode():
        network.encode_image(pixels)
        seconds = best(lambda: network.encode_image(pixels), repeats)
    show(encode="ViT-B-16", device="cpu", threads=threads, images_per_s=round(16 / seconds, 1))


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
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    start_up(options.repeats)
    encoding(options.threads, options.repeats)
    scoring(options.repeats)


if __name__ == "__main__":
    main()
