"""What a search with `n_jobs` loads and encodes, and how long it takes, on the shipped model.

    OMP_NUM_THREADS=1 python benchmarks/searches.py

A grid of 4 candidates and 3 folds over images, with ``CLIPImageEncoder(cache=...)``, in a process of its own
with empty caches for each way: one job, two threads, two processes (loky). It counts how often each process
loads the model, how many images go through the tower, and how often a list of words is embedded.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from _measure import show
from joblib import parallel_backend
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skneg import CLIPImageEncoder, NegPromptDetector, PromptRecipe, words
from skneg.backbone import _loading
from skneg.datasets import make_scenes

N = 120


class CountingEncoder(CLIPImageEncoder):
    """Notes in a file what is loaded and encoded, in whichever process it is."""

    def __init__(self, *, model: str = "skneg-tiny", cache: str | None = None, log: str = "") -> None:
        super().__init__(model=model, cache=cache)
        self.log = log

    def transform(self, X):  # noqa: D102
        note(self.log, _loading, "_load")
        note(self.log, words, "_embed")
        return super().transform(X)

    def _encode(self, images, *options):
        write(self.log, "image", len(images))
        return super()._encode(images, *options)


def note(log: str, module, name: str) -> None:
    """Have a function of a module write down each of its calls, once in a process."""
    function = getattr(module, name)
    if hasattr(function, "noted"):
        return

    def noting(*arguments, **options):
        if name != "_embed" or len(arguments[1]) > 1000:  # not the names of classes
            write(log, name, 1)
        return function(*arguments, **options)

    noting.noted = True
    setattr(module, name, noting)


def write(log: str, what: str, times: int) -> None:
    with open(log, "a") as file:
        file.write(f"{what} {os.getpid()}\n" * times)


def search(folder: str, backend: str, n_jobs: str) -> None:
    X, y = make_scenes(N, shapes=["star", "heart", "key", "fish"], random_state=0)
    y = np.where(y == "fish", "unknown", y)
    recipe = PromptRecipe(positive_steps=5, negative_steps=5)
    pipeline = make_pipeline(
        CountingEncoder(cache=f"{folder}/cache", log=f"{folder}/log"),
        NegPromptDetector(model="skneg-tiny", recipe=recipe, contamination=0.1, random_state=0),
    )
    grid = {
        "negpromptdetector__recipe__n_negative": [1, 2],
        "negpromptdetector__evidence": ["text", "both"],
    }
    with parallel_backend(backend):
        found = GridSearchCV(
            pipeline, grid, scoring="ood_auroc", cv=3, n_jobs=int(n_jobs), error_score="raise"
        ).fit(X, y)
    sys.stdout.write(f"{found.cv_results_['mean_test_score'].round(6).tolist()}\n")


def main() -> None:
    for backend, n_jobs in (("sequential", 1), ("threading", 2), ("loky", 2)):
        with TemporaryDirectory() as folder:
            Path(folder, "log").touch()
            command = [sys.executable, __file__, folder, backend, str(n_jobs)]
            start, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run(
                command, env={**os.environ, "SKNEG_CACHE": f"{folder}/words"}, capture_output=True, text=True
            )
            if done.returncode:
                sys.exit(done.stderr)
            now = resource.getrusage(resource.RUSAGE_CHILDREN)
            counts = Counter(map(tuple, map(str.split, Path(folder, "log").read_text().splitlines())))
            per = {
                what: sorted((n for (name, _), n in counts.items() if name == what), reverse=True)
                for what in ("_load", "_embed", "image")
            }
            show(
                backend=backend, n_jobs=n_jobs, images=N,
                model_loads_per_process=per["_load"], word_lists_embedded=sum(per["_embed"]),
                images_encoded=sum(per["image"]), wall_s=round(time.perf_counter() - start, 1),
                cpu_s=round(now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime, 1),
                scores=done.stdout.strip(),
            )  # fmt: skip


if __name__ == "__main__":
    search(*sys.argv[1:]) if len(sys.argv) > 1 else main()
