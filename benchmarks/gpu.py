"""The figures of docs/performance.md on a CUDA GPU: run by hand where there is one.

    python benchmarks/gpu.py [NAME ...]

Runs the scripts of this folder whose work a GPU does, with `--device cuda`, and keeps their figures in
benchmarks/results.json beside those of a CPU, with the card's name. Scores of embeddings are numpy's on every
machine, so scoring.py has no figure here.
"""

from __future__ import annotations

import argparse

import torch
from run import PAGE, keep, page, run

SCRIPTS: dict[str, list[str]] = {
    "encoding": ["encoding", "--images", "512"],
    "words": ["words"],
    "names": ["names"],
    "text_encoding": ["text_encoding", "--classes", "1000"],
    "training": ["training"],
    "fit": ["training", "--fit"],
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(SCRIPTS)}")
    options = parser.parse_args()
    if strange := set(options.names) - set(SCRIPTS):
        parser.error(f"no benchmark of a GPU is called {strange.pop()!r}: they are {', '.join(SCRIPTS)}.")
    if not torch.cuda.is_available():
        parser.error("torch sees no CUDA GPU here.")
    for name in options.names or SCRIPTS:
        keep(f"{name} on a GPU", run(*SCRIPTS[name], "--device", "cuda", device="cuda"))
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
