import os
import time
from errno import ENOSPC

import pytest

from skneg._eviction import DEFAULT_LIMIT, make_room, size_limit, space, used_now, why_not_kept
from skneg.errors import InputError, PersistenceError


@pytest.mark.parametrize(
    ("told", "n_bytes"),
    [("", DEFAULT_LIMIT), ("0", 0), ("4096", 4096), ("1 KB", 1024), ("1.5 GiB", 3 * 2**29), ("2t", 2**41)],
)
def test_sizes_are_read_from_the_environment(told, n_bytes, monkeypatch):
    monkeypatch.setenv("SKNEG_CACHE_SIZE", told)
    assert size_limit() == n_bytes


@pytest.mark.parametrize("told", ["much", "-1", "5 XB", "1e9", "nan"])
def test_what_is_no_size_is_refused(told, monkeypatch):
    monkeypatch.setenv("SKNEG_CACHE_SIZE", told)
    with pytest.raises(InputError, match="SKNEG_CACHE_SIZE"):
        size_limit()


def add(folder, name, age=0.0, size=5000):
    file = folder / name
    file.write_bytes(bytes(size))
    os.utime(file, (time.time() - age,) * 2)
    return space(file)


def listed(folder):
    return sorted(path.name for path in folder.glob("[!.]*"))


def test_space_is_in_blocks(tmp_path):
    assert [add(tmp_path, "a", size=size) for size in (0, 1, 4096, 4097)] == [0, 4096, 4096, 8192]


def test_the_oldest_go_once_the_limit_is_passed(tmp_path):
    def keep(added):
        make_room(tmp_path, added, 4 * 8192, lambda: tmp_path.glob("[!.]*"))

    for name, age in zip("abcd", (30, 40, 10, 20), strict=True):
        keep(add(tmp_path, name, age))
    assert listed(tmp_path) == list("abcd")
    used_now(tmp_path / "b")
    keep(add(tmp_path, "e"))
    assert listed(tmp_path) == list("bce")  # room is made for some more
    keep(add(tmp_path, "f"))
    assert listed(tmp_path) == list("bcef")


def test_files_are_looked_at_above_the_limit_alone(tmp_path):
    looks = []

    def files():
        looks.append(1)
        return list(tmp_path.glob("[!.]*"))

    for name in "abcdef":
        make_room(tmp_path, add(tmp_path, name), 10 * 8192, files)
    assert len(looks) == 1  # the first time, since nothing was noted
    (tmp_path / ".size").write_text("damaged")
    make_room(tmp_path, 0, 10 * 8192, files)
    assert len(looks) == 2
    assert (tmp_path / ".size").read_text() == str(6 * 8192)


def test_what_others_removed_meanwhile_is_no_error(tmp_path):
    size = add(tmp_path, "a")
    make_room(tmp_path, size, 1, lambda: [tmp_path / "gone", tmp_path / "a"])
    assert listed(tmp_path) == []
    used_now(tmp_path / "gone")


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").touch()
    make_room(tmp_path / "file", 5, 1, lambda: [])


def test_the_reason_has_no_name_of_a_file():
    error = PersistenceError("/folder/.a7f3 could not be written")
    error.__cause__ = OSError(ENOSPC, "No space left on device", "/folder/.a7f3")
    assert why_not_kept(error) == "No space left on device"
    assert why_not_kept(RuntimeError("no home")) == "no home"
