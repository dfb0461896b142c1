"""Forged files that would fill the memory, in a process whose memory is measured."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from skneg._files import LARGEST_FILE

from ..test_files import sealed

MARGIN = 300  # MB; no file below has more than 66
CHILD = """
import json, sys
from pathlib import Path
import skneg
from skneg.errors import PersistenceError
from skneg.persistence import read_header

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

for file in sorted(Path(sys.argv[1]).iterdir()):
    for read in (read_header, skneg.load):
        Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is in use
        before = peak()
        try:
            read(file)
            told = "read"
        except PersistenceError as error:
            told = str(error)[:300]
        print(json.dumps([file.name, read.__name__, (peak() - before) / 1024, told]))
"""


def bombs():
    def tensor(shape, *places):
        return {"dtype": "F64", "shape": shape, "data_offsets": places}

    wide = {"$": "strings", "shape": [10**6], "width": 2**16, "items": ["a" * 2**16, *[""] * (10**6 - 1)]}
    detector = {
        "class": "MCMDetector",
        "parameters": {"class_names": wide},
        "attributes": {},
        "backbone": None,
    }
    return {
        "a huge tensor": sealed(b"", "{}", t=tensor([2**40], 0, 2**43)),
        "many huge tensors": sealed(bytes(8), "{}", **{f"t{i}": tensor([2**30], 0, 2**33) for i in range(9)}),
        "one tensor many times": sealed(
            bytes(2**20), "{}", **{f"t{i}": tensor([2**17], 0, 2**20) for i in range(10**4)}
        ),
        "wide strings": sealed(b"", json.dumps({"format": 2, "detector": detector})),
        "many values": sealed(b"", "[" + "[]," * 2**22 + "0]"),
        "many brackets": sealed(b"", "[" * 2**23),
        "a long header": sealed(b"", '"' + "x" * 2**26 + '"'),
    }


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured as Linux tells it")
def test_forged_files_take_little_memory(tmp_path):
    for name, data in bombs().items():
        (tmp_path / name).write_bytes(data)
    for name, head in (("sparse", b""), ("sparse and marked", sealed(b"", "{}"))):
        (tmp_path / name).write_bytes(head)
        with open(tmp_path / name, "r+b") as file:
            file.truncate(LARGEST_FILE + 1)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)], capture_output=True, text=True, timeout=300, check=True
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 2 * (len(bombs()) + 2)
    for name, reader, megabytes, told in lines:
        assert megabytes < MARGIN, (name, reader, megabytes)
        assert (told == "read") == (name == "wide strings" and reader == "read_header"), (name, told)
