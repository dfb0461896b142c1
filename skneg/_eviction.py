"""How large a folder grows whose files can be made again: what was used longest ago goes first."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from ._files import UNFINISHED, alone, read_bytes, write_bytes
from .errors import InputError, PersistenceError

DEFAULT_LIMIT = 10 * 2**30  # bytes

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_BLOCK = 4096  # bytes of a disk that even a small file takes
_ROOM = 0.9  # of the limit is left: to look at each file takes time, and is not done for each new one
_STALE = 3600  # seconds after which nobody is still writing a file


def cache_folder() -> Path:
    """Where skneg keeps what it can make again."""
    return Path(os.environ.get("SKNEG_CACHE") or Path.home() / ".cache" / "skneg")


def size_limit() -> int:
    """Bytes that a cache may take: those of the environment variable ``SKNEG_CACHE_SIZE``, or 10 GiB.

    Raises
    ------
    InputError
        If the variable holds no size.
    """
    told = os.environ.get("SKNEG_CACHE_SIZE", "").strip()
    if not told:
        return DEFAULT_LIMIT
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:I?B)?", told.upper())
    if found is None:
        raise InputError(
            f"SKNEG_CACHE_SIZE={told!r} is no size; write bytes, or such as '500 MB' or '10 GB'."
        )
    return int(float(found[1]) * _UNITS[found[2]])


def used_now(path: Path) -> None:
    """Note that a file was used. Its time of access would not tell: many disks do not keep it."""
    with contextlib.suppress(OSError):
        os.utime(path)


def space(path: str | os.PathLike) -> int:
    """Bytes of a disk that a file takes, in whole blocks."""
    return -(-os.stat(path).st_size // _BLOCK) * _BLOCK


def why_not_kept(error: Exception) -> str:
    """What the system said of a file that `skneg._files.write_bytes` could not write, without its name."""
    return str(getattr(error.__cause__ or error, "strerror", None) or error)


def make_room(folder: Path, added: int, limit: int, files: Callable[[], Iterable[str | os.PathLike]]) -> None:
    """Keep a folder below a limit once files were added, with any number of processes that do the same.

    The sum is kept in a file, ``.size``; only above the limit all files are looked at. What cannot
    be read, written or removed is passed over.

    Parameters
    ----------
    folder : Path
    added : int
        The `space` of what has been added since the last call.
    limit : int
        In bytes.
    files : callable
        Lists the files that may be removed, unfinished ones too.
    """
    note = folder / ".size"
    with contextlib.suppress(OSError), alone(folder / ".size.lock"):
        before = _noted(note)
        total = limit + 1 if before is None else before + added
        if total > limit:
            total = _remove_oldest(files(), limit)
        write_bytes(note, str(total).encode(), durable=False)


def _noted(note: Path) -> int | None:
    try:
        return int(read_bytes(note))
    except (PersistenceError, ValueError):  # not there, or damaged: the files are counted
        return None


def _remove_oldest(files: Iterable[str | os.PathLike], limit: int) -> int:
    """Remove files until there is room again; returns the space that the others take."""
    found = []
    for path in files:
        with contextlib.suppress(OSError):  # removed by another process
            used = os.stat(path).st_mtime
            if not os.fspath(path).endswith(UNFINISHED):
                found.append((used, space(path), path))
            elif time.time() - used > _STALE:  # of a process that was killed
                os.unlink(path)
    total = sum(size for _, size, _ in found)
    if total > limit:
        for _, size, path in sorted(found, key=lambda entry: entry[0]):
            if total <= _ROOM * limit:
                break
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            total -= size
    return total
