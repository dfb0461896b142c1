"""A file: sealed, written in whole or not at all."""

import json
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from skneg import _files
from skneg._files import (
    LARGEST_FILE,
    UNFINISHED,
    alone,
    as_path,
    open_regular,
    pack,
    read_bytes,
    read_regular,
    read_sealed,
    unpack,
    write_bytes,
)
from skneg._json import MAX_VALUES
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


def test_no_more_is_asked_for_than_a_file_has(tmp_path):
    (tmp_path / "f").write_bytes(b"0123456789")
    with open_regular(tmp_path / "f") as file:
        assert file.read(3) == b"012"
        assert file.read(2**60) == b"3456789"  # for which there is no memory
        assert file.read(2**60) == file.read() == b""


def test_what_an_interrupted_save_left_is_not_read(tmp_path):
    left = tmp_path / f"f{UNFINISHED}"
    left.write_text(json.dumps({}))
    for read in (read_bytes, read_sealed):
        with pytest.raises(PersistenceError, match="interrupted save"):
            read(left)
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


@pytest.mark.parametrize("held", [b"what the user has", None])
def test_a_link_in_a_cache_is_replaced_and_not_followed(held, tmp_path):
    theirs, entry = tmp_path / "theirs", tmp_path / "entry"
    entry.symlink_to(theirs)
    if held is not None:
        theirs.write_bytes(held)
    write_bytes(entry, b"new", durable=False)
    assert not entry.is_symlink()
    assert entry.read_bytes() == b"new"
    assert (theirs.read_bytes() if theirs.exists() else None) == held
    entry.unlink()
    entry.symlink_to(theirs)
    write_bytes(entry, b"saved")
    assert entry.is_symlink()
    assert theirs.read_bytes() == b"saved"


def test_what_is_no_regular_file_is_refused_at_once(no_files, at_once):
    for kind, path in no_files.items():
        with pytest.raises(OSError, match=f"It is {kind}|regular file|symbolic links") as caught:
            read_regular(path)
        assert str(path) in str(caught.value)
        with pytest.raises(PersistenceError, match="cannot be read"):
            read_bytes(path)
        with pytest.raises(PersistenceError, match="cannot be read"):
            read_sealed(path)
    with pytest.raises(IsADirectoryError):
        open_regular(no_files["a folder"])


def test_a_pipe_that_takes_the_place_of_a_file_is_refused(no_files, tmp_path, monkeypatch, at_once):
    (tmp_path / "file").write_bytes(b"x")
    status = os.stat(tmp_path / "file")
    monkeypatch.setattr(os, "stat", lambda *_, **__: status)
    with pytest.raises(OSError, match="It is a pipe"):
        open_regular(no_files["a pipe"])


def test_links_to_regular_files_are_read(tmp_path):
    (tmp_path / "file").write_bytes(b"what it holds")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_regular(tmp_path / "link") == read_bytes(tmp_path / "link") == b"what it holds"


def test_files_that_are_too_large_are_not_read(tmp_path):
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(LARGEST_FILE + 1)
    for read in (read_regular, read_bytes):
        with pytest.raises(OSError, match="more than"):
            read(tmp_path / "sparse")
    with pytest.raises(PersistenceError, match="not a file of skneg"):
        read_sealed(tmp_path / "sparse")
    if os.path.exists("/proc/self/environ"):  # says that it has no bytes
        with pytest.raises(OSError, match="more than the 0 bytes that it says"):
            read_regular("/proc/self/environ")


def sealed(data, header, **tensors):
    """The bytes of a file with another header, and the checksum that it must have."""
    layout = {"__metadata__": {"skneg": "0" * 64 + header}, **tensors}
    outer = json.dumps(layout, separators=(",", ":")).encode()
    forged = bytearray(len(outer).to_bytes(8, "little") + outer + data)
    forged[_files._DIGEST] = _files._digest(forged)
    return bytes(forged)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("[" * 200 + "]" * 200, "deep"),
        ("[" + "0," * MAX_VALUES + "0]", "values"),
        ("{", "no JSON"),
        ("NaN", "no JSON object"),
    ],
)
def test_headers_of_another_kind_are_refused(header, message):
    with pytest.raises(PersistenceError, match=message):
        unpack(sealed(b"", header), "f")


def test_a_header_that_is_longer_than_the_file_is_refused():
    forged = bytearray(sealed(b"", "{}"))
    for length in (len(forged), 2**40, 2**63):
        forged[:8] = length.to_bytes(8, "little")
        forged[_files._DIGEST] = _files._digest(forged)
        with pytest.raises(PersistenceError, match="more than there is"):
            unpack(bytes(forged), "f")


@pytest.mark.parametrize(
    "tensor",
    [
        {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]},
        {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]},
        {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]},
    ],
)
def test_tensors_that_are_larger_than_the_file_are_refused(tensor):
    with pytest.raises(PersistenceError, match="cannot be parsed"):
        unpack(sealed(bytes(16), "{}", t=tensor), "f")


def test_what_would_not_be_read_is_not_written(monkeypatch):
    with pytest.raises(PersistenceError, match="would not be read again"):
        pack({"deep": json.loads("[" * 200 + "]" * 200)}, {})
    monkeypatch.setattr(_files, "LARGEST_FILE", 10)
    with pytest.raises(PersistenceError, match="bytes, more than the 10"):
        pack(HEADER, TENSORS)
