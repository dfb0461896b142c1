"""Few damaged files of each kind, and whether what is wrong with a reader is seen; more in ``make fuzz``."""

import os
import time
from pathlib import Path

import pytest

from skneg import SknegError

from .._forked import REFUSED, RIGHT
from .__main__ import main
from ._target import Target

pytestmark = [
    pytest.mark.skipif(
        not Path("/proc/self/clear_refs").exists(), reason="memory is measured as Linux tells it"
    ),
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]


def test_damaged_input_is_refused_or_read_right(tmp_path, capsys):
    status = main(["--few", "--inputs", "8", "--out", str(tmp_path)])
    told, failures = capsys.readouterr()
    assert status == 0, failures
    *rows, total = [line.strip("| ").replace(",", "").split(" | ") for line in told.splitlines()[2:]]
    assert len(rows) > 25
    assert {inputs for _, inputs, *_ in rows} == {"8"}
    _, inputs, refused, right, failed = total
    assert int(inputs) == int(refused) + int(right) == 8 * len(rows)
    assert int(refused) > 5 * int(right) / 4 > 30
    assert failed == "0"


def read(data, folder):
    number = int(data)
    if number == 1:
        raise SknegError
    if number == 2:
        raise ZeroDivisionError
    if number in (3, 4):
        len(bytearray(2 ** (21 + 6 * (number - 2))))  # 128 MB, or 8 GB
    if number == 5:
        os.kill(os.getpid(), 9)
    if number == 6:
        time.sleep(60)
    (folder / "written").write_bytes(data)
    return RIGHT


def test_what_is_wrong_with_a_reader_is_seen():
    target = Target("numbers", lambda rng: b"%d" % rng.integers(8), read, seconds=1, megabytes=100)
    expected = [
        RIGHT, REFUSED, "ZeroDivisionError", "MemoryError", "MemoryError", "EOFError", "TimeoutError", RIGHT,
    ]  # fmt: skip
    told = list(target.outcomes(0, 0, 24))
    assert [number for number, _ in told] == list(range(24))
    assert {int(target.input(0, number)) for number in range(24)} == set(range(8))
    for number, outcome in told:
        assert outcome.startswith(expected[int(target.input(0, number))])
