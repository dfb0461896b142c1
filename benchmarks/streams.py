"""Ten million embeddings in a file through `predict_stream`: seconds, and the memory that it takes.

    OMP_NUM_THREADS=1 python benchmarks/streams.py [--rows 10000000] [--width 512] [--classes 100]

The file holds float16 rows, a block of random ones again and again (10 GB by default, in the folder for
temporary files, removed at the end). Anonymous memory is what the process itself needs: pages of a mapped
file are not part of it, the system drops them when it wants. The anchor reads the same rows and multiplies
them with the same texts in float32, and nothing else.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from _measure import memory_mib, row, show

from skneg import MCMDetector

CHUNK = 1024


def write(file: Path, rows: int, width: int) -> np.memmap:
    block = np.random.default_rng(0).normal(size=(CHUNK, width)).astype(np.float16)
    with file.open("wb") as out:
        for start in range(0, rows, CHUNK):
            out.write(block[: rows - start].tobytes())
    return np.memmap(file, np.float16, "r", shape=(rows, width))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--classes", type=int, default=100)
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    bank = rng.normal(size=(options.classes, options.width)).astype(np.float32)
    detector = MCMDetector(text_bank=bank, class_names=list(map(str, range(options.classes))))
    detector.fit(rng.normal(size=(1000, options.width)))
    with TemporaryDirectory() as folder:
        X = write(Path(folder, "rows"), options.rows, options.width)
        before = most = memory_mib("RssAnon")
        start, n, rejected = time.process_time(), 0, 0
        for table in detector.predict_stream(X, CHUNK):
            most = max(most, memory_mib("RssAnon"))
            n, rejected = n + len(table), rejected + int(table.rejected.sum())
        seconds = time.process_time() - start
        assert n == options.rows
        start = time.process_time()
        for first in range(0, options.rows, CHUNK):
            (X[first : first + CHUNK].astype(np.float32) @ bank.T).max(axis=1)
        anchor = time.process_time() - start
        show(
            rows=n, width=options.width, classes=options.classes, file_mib=round(X.nbytes / 2**20),
            rows_per_s=round(n / seconds), before_mib=round(before), most_mib=round(most), rejected=rejected,
        )  # fmt: skip
        row(
            f"predict_stream, {n:,} x {options.classes} classes, width {options.width}, from a file", seconds,
            "the rows read and multiplied in float32", anchor, memory_mib=round(most),
        )  # fmt: skip


if __name__ == "__main__":
    main()
