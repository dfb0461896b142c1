"""Disks that are full, read-only or without locks, and folders that go away: nothing is lost."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

import skneg
from skneg import CLIPImageEncoder, KNNDetector, cache
from skneg._files import UNFINISHED, alone, write_bytes
from skneg.cache import CacheWarning, EmbeddingCache, encoding_of
from skneg.errors import PersistenceError

from ..conftest import run_python

FULL = [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES]


@pytest.fixture(scope="module")
def fitted(embedded):
    return KNNDetector(model="skneg-tiny", random_state=0).fit(*embedded)


@pytest.fixture
def encoder(tmp_path):
    return CLIPImageEncoder(model="skneg-tiny", cache=tmp_path / "cache")


def failing(code, works=None, times=0):
    """A function that fails, at first after it has worked some `times`."""
    calls = []

    def fail(*args, **kwargs):
        calls.append(args)
        if len(calls) > times:
            raise OSError(code, os.strerror(code))
        return works(*args, **kwargs)

    return fail


def no_half_files(folder):
    return not [path for path in Path(folder).rglob("*") if path.name.endswith(UNFINISHED)]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("code", FULL)
def test_a_save_that_fails_leaves_the_old_file(code, step, fitted, embedded, tmp_path, monkeypatch):
    file = tmp_path / "a.skneg"
    fitted.save(file)
    before = file.read_bytes()
    monkeypatch.setattr(os, step, failing(code))
    with pytest.raises(PersistenceError, match=rf"{os.strerror(code)}.*unchanged"):
        KNNDetector(model="skneg-tiny", n_neighbors=3, random_state=0).fit(*embedded).save(file)
    assert file.read_bytes() == before
    assert no_half_files(tmp_path)
    monkeypatch.undo()
    assert (skneg.load(file).predict(embedded[0]) == fitted.predict(embedded[0])).all()


def test_a_disk_that_fills_up_while_a_file_is_written(tmp_path):
    """The limit for the size of a file cuts a write short, as a full disk does."""
    code = f"""
import os, resource
from skneg._files import write_bytes
from skneg.errors import PersistenceError
file = {str(tmp_path / "f")!r}
write_bytes(file, b"old" * 100)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_bytes(file, bytes(100_000))
except PersistenceError as error:
    is_old = open(file, "rb").read() == b"old" * 100
    print("unchanged" in str(error), is_old, len(os.listdir({str(tmp_path)!r})))
"""
    assert run_python(code) == "True True 1"


def test_a_file_is_on_the_disk_before_its_name_is(tmp_path, monkeypatch):
    """After a power cut there is the old file or the new one, but no empty one."""
    done, sync, rename = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda d: (done.append("sync"), sync(d))[1])
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("rename"), rename(*names))[1])
    write_bytes(tmp_path / "f", b"new")
    assert done == ["sync", "rename", "sync"]  # the file, its name, the folder


@pytest.mark.parametrize("code", FULL)
def test_a_cache_that_cannot_be_written_is_one_warning(code, encoder, scenes, monkeypatch):
    expected = CLIPImageEncoder(model="skneg-tiny").transform(scenes[0][:20])
    monkeypatch.setattr(cache, "_CHUNK", 4)
    monkeypatch.setattr(os, "replace", failing(code, os.replace, 7))
    with pytest.warns(CacheWarning, match=os.strerror(code)) as caught:
        embeddings = encoder.transform(scenes[0][:20])
    assert len(caught) == 1
    np.testing.assert_allclose(embeddings, expected, atol=1e-6)
    assert no_half_files(encoder.cache)
    monkeypatch.undo()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(encoder.transform(scenes[0][:20]), expected, atol=1e-6)


def test_a_cache_on_a_read_only_disk_is_read(encoder, scenes, monkeypatch):
    """The superuser may write anywhere, so the system's answers are put in the place of a real such disk."""
    encoder.transform(scenes[0][:8])

    def read_only(opener):
        def opened(path, flags, *args, **kwargs):
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
            return opener(path, flags, *args, **kwargs)

        return opened

    for name in ("utime", "unlink", "mkdir", "replace"):
        monkeypatch.setattr(os, name, failing(errno.EROFS))
    monkeypatch.setattr(os, "open", read_only(os.open))
    monkeypatch.setattr("builtins.open", _no_new_files(open))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.transform(scenes[0][:8])
    with pytest.warns(CacheWarning, match="Read-only") as caught:
        assert encoder.transform(scenes[0][:12]).shape == (12, 128)
    assert len(caught) == 1


def _no_new_files(opener):
    def opened(file, mode="r", *args, **kwargs):
        if set(mode) & set("wxa+"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), file)
        return opener(file, mode, *args, **kwargs)

    return opened


def test_many_damaged_entries_are_one_warning(encoder, scenes):
    encoder.transform(scenes[0][:12])
    for path in Path(encoder.cache).glob("*/??/*.safetensors"):
        path.write_bytes(b"damaged")
    with pytest.warns(CacheWarning, match=r"12 such cases") as caught:
        encoder.transform(scenes[0][:12])
    assert len(caught) == 1


def test_a_cache_folder_that_is_removed_meanwhile(encoder, scenes):
    expected = CLIPImageEncoder(model="skneg-tiny").transform(scenes[0][:24])
    is_over = threading.Event()

    def remove():
        while not is_over.is_set():
            shutil.rmtree(encoder.cache, ignore_errors=True)

    thread = threading.Thread(target=remove)
    thread.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CacheWarning)
            for _ in range(5):
                np.testing.assert_allclose(encoder.transform(scenes[0][:24]), expected, atol=1e-6)
    finally:
        is_over.set()
        thread.join()
    np.testing.assert_allclose(encoder.transform(scenes[0][:24]), expected, atol=1e-6)


def test_versions_with_other_entries_do_not_meet(scenes, tmp_path, monkeypatch):
    backbone = CLIPImageEncoder(model="skneg-tiny").backbone()
    ours = encoding_of(backbone)
    encoder = CLIPImageEncoder(model="skneg-tiny", cache=tmp_path)
    expected = encoder.transform(scenes[0][:5])
    monkeypatch.setattr(cache, "_FORMAT", 2)
    assert encoding_of(backbone) != ours
    np.testing.assert_array_equal(encoder.transform(scenes[0][:5]), expected)
    assert len(EmbeddingCache(tmp_path, ours)) == len(EmbeddingCache(tmp_path, encoding_of(backbone))) == 5


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
def test_a_file_system_without_locks_is_worked_on_without(code, encoder, scenes, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", failing(code))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert encoder.transform(scenes[0][:6]).shape == (6, 128)
    assert len(list(Path(encoder.cache).glob("*/??/*.safetensors"))) == 6


def test_a_lock_is_free_after_its_holder_was_killed_though_a_child_of_it_lives(tmp_path):
    """A fork copies an open lock: it must not stay locked as long as the copy is open."""
    code = f"""
import os, pathlib, sys, time
from skneg._files import alone
with alone(pathlib.Path({str(tmp_path / "lock")!r})):
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    print("held", flush=True)
    time.sleep(60)
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    group = holder.pid
    try:
        assert holder.stdout.readline() == "held\n"
        holder.kill()
        holder.wait()
        entered = threading.Event()

        def enter():
            with alone(tmp_path / "lock"):
                entered.set()

        threading.Thread(target=enter, daemon=True).start()
        assert entered.wait(30)
    finally:
        os.killpg(group, 9)
        holder.stdout.close()
