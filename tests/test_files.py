"""A file: sealed, written in whole or not at all."""

import json
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from skneg._files import UNFINISHED, alone, as_path, pack, read_bytes, unpack, write_bytes
from skneg.errors import InputTypeError, PersistenceError

HEADER = {"key": "k", "n": 3}
TENSORS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([1, 2], dtype=np.int64)}


def test_what_is_packed_is_unpacked():
    header, tensors = unpack(bytes(pack(HEADER, TENSORS)), "f")
    assert header == HEADER
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(tensors[name], tensor)
        assert tensors[name].dtype == tensor.dtype


def test_every_flipped_bit_is_found():
    data = bytes(pack(HEADER, TENSORS))
    for place in range(8, len(data)):
        spoiled = bytearray(data)
        spoiled[place] ^= 1
        with pytest.raises(PersistenceError):
            unpack(bytes(spoiled), "f")


def test_a_header_that_is_no_object_is_refused():
    with pytest.raises(PersistenceError, match="no JSON object"):
        unpack(bytes(pack([1, 2], {})), "f")


def test_the_old_file_survives_a_failed_write(tmp_path, monkeypatch):
    file = tmp_path / "f"
    write_bytes(file, b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PersistenceError, match="No space left.*unchanged"):
        write_bytes(file, b"new")
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_is_there_keeps_its_permissions(tmp_path):
    file = tmp_path / "f"
    file.write_bytes(b"old")
    file.chmod(0o640)
    write_bytes(file, b"new")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert read_bytes(file) == b"new"


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        (b"f", InputTypeError, "must be a str"),
        (3, InputTypeError, "must be a str"),
        ("a\0b", PersistenceError, "NUL"),
        ("~no_such_user_at_all/f", PersistenceError, "cannot be used"),
    ],
)
def test_what_is_no_path_is_named(path, error, message):
    with pytest.raises(error, match=message):
        as_path(path)


def test_what_an_interrupted_save_left_is_not_read(tmp_path):
    left = tmp_path / f"f{UNFINISHED}"
    left.write_text(json.dumps({}))
    with pytest.raises(PersistenceError, match="interrupted save"):
        read_bytes(left)
    with pytest.raises(PersistenceError, match="does not exist"):
        read_bytes(tmp_path / "none")


def test_one_thread_at_a_time_is_alone_where_the_file_system_can(tmp_path):
    inside, most = [], []

    def work(_):
        with alone(tmp_path / "new" / ".lock"):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)
            inside.pop()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))
    assert max(most) == 1
    (tmp_path / "file").touch()
    with alone(tmp_path / "file" / ".lock"):  # no folder: goes on without
        pass
