"""What is fuzzed: how an input is made, and what is done with it."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np

from .._forked import outcomes


@dataclass(frozen=True)
class Target:
    """A reader of what strangers have written.

    `make` draws an input; `check` has the reader read it, with a folder to write to. It answers whether the
    reader has refused it, which a `SknegError` says as well, and raises whatever else is wrong.
    """

    name: str
    make: Callable[[np.random.Generator], bytes]
    check: Callable[[bytes, Path], str]
    seconds: float = 20
    megabytes: int = 150

    def input(self, seed: int, number: int) -> bytes:
        """One input: the same for the same seed and number, whatever came before."""
        return self.make(np.random.default_rng([seed, crc32(self.name.encode()), number]))

    def outcomes(self, seed: int, first: int, last: int) -> Iterator[tuple[int, str]]:
        """The number of each input, and refused, right or a text that says what is wrong."""
        with tempfile.TemporaryDirectory(prefix="skneg-fuzz-") as folder:
            for number, outcome in outcomes(
                lambda number: self.check(self.input(seed, number), Path(folder)),
                first, last, seconds=self.seconds, megabytes=self.megabytes,
            ):  # fmt: skip
                yield number, outcome.told


def one_of(items, rng):
    return items[rng.integers(len(items))]
