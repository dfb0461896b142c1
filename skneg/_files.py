"""The file itself: sealed with a sha256, written in whole or not at all.

A file is in the safetensors layout, so that other tools can look into it. Its one metadata entry,
``skneg``, stands first in it and starts with the sha256 of the whole file, taken with zeros in the place
of the digest. So the checksum lies at a fixed place, and is compared before anything is parsed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from ._forks import after_fork
from ._json import MAX_VALUES, parse_json
from .errors import InputTypeError, PersistenceError

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

# After 8 bytes with the length of safetensors' own header.
_MAGIC = b'{"__metadata__":{"skneg":"'
_DIGEST = slice(8 + len(_MAGIC), 8 + len(_MAGIC) + 64)
_BLANK = b"0" * 64

UNFINISHED = ".unfinished"

# Bytes of a whole file: 2.6 million training images of 768 float32 each.
LARGEST_FILE = 2**33

# Bytes of a list of images, a table or a JSON file: a million lines of 64 characters.
LARGEST_TEXT = 2**26

# Bytes of a header: 16 for each value that it may have. Readers of safetensors take up to 100 million.
_LONGEST_HEADER = 16 * MAX_VALUES

# A pipe without a writer would block `open` for ever, and so would some devices; Windows has no such flags.
_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}
_held: set[int] = set()  # descriptors of files that are locked, or waited for


def as_path(path: Any) -> Path:
    """A path that the user gave, with its home folder in full.

    Raises
    ------
    InputTypeError
        If it is something else, such as bytes or an open file.
    PersistenceError
        If no file can have it.
    """
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
        raise InputTypeError(f"path must be a str or a pathlib.Path, got {path!r}.")
    if "\0" in os.fspath(path):
        raise PersistenceError(f"path={path!r} holds a NUL character, which no file name can.")
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise PersistenceError(f"path={path!r} cannot be a file name here: {error}") from error
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # "~nobody"
        raise PersistenceError(f"path={path!r} cannot be used: {error}") from error


def with_home(path: str | os.PathLike[str]) -> str:
    """`os.path.expanduser`, which fails on some names that no file can have; these stay as they are."""
    try:
        return os.path.expanduser(path)
    except ValueError:
        return os.fspath(path)


def open_regular(path: str | os.PathLike | bytes) -> BufferedReader:
    """`open` for reading bytes, of regular files and links to them: nothing else is opened or waited for.

    Raises
    ------
    OSError
        If there is no such file, it cannot be read, or it is a folder (`IsADirectoryError`), a pipe, a socket
        or a device, such as ``/dev/zero``, which has no end.
    """
    return _Bounded(open(path, "rb", buffering=0, opener=_open_at_once))


class _Bounded(BufferedReader):
    """Python makes room for all bytes that are asked for; a damaged file may say that it has gigabytes."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > 0:
            left = os.fstat(self.fileno()).st_size - self.tell()
            size = min(size, max(left, 0) + 1)  # one more, so that a file which has more is seen to
        return super().read(size)


def _open_at_once(path: Any, flags: int) -> int:
    _check_regular(os.stat(path), path)  # some devices do something when they are opened, such as tapes
    descriptor = os.open(path, flags | _AT_ONCE)
    try:
        _check_regular(os.fstat(descriptor), path)  # it may be another one by now
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_regular(status: os.stat_result, path: Any) -> None:
    if not stat.S_ISREG(status.st_mode):
        code = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise OSError(code, f"It is {kind}, not a regular file", os.fsdecode(path))


def read_regular(path: str | os.PathLike, largest: int = LARGEST_TEXT) -> bytes:
    """All bytes of a regular file of at most `largest` bytes; an `OSError` says what is wrong."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > largest:
            raise OSError(errno.EFBIG, f"It has {size} bytes, more than {largest}", os.fsdecode(path))
        # Some files, as below /proc, say that they are empty, and have no end.
        data = file.read(size + 1) or b""
    if len(data) > size:
        raise OSError(errno.EFBIG, f"It has more than the {size} bytes that it says", os.fsdecode(path))
    return data


def check_target(path: Any) -> Path:
    """`as_path` of a file that is to be written, refused before there is any work to lose.

    Raises
    ------
    InputTypeError, PersistenceError
        Names what is wrong.
    """
    target = as_path(path)
    try:
        what = (
            "it is a folder; give the name of a file"
            if not target.name or target.is_dir()
            else f"there is no folder {target.parent}; make it first"
            if not target.parent.is_dir()
            else f"the folder {target.parent} cannot be written to"
            if not os.access(target.parent, os.W_OK)
            else ""
        )
    except OSError as error:  # such as a name that is too long
        what = str(error)
    if what:
        raise PersistenceError(f"path={str(target)!r} cannot be written: {what}.")
    return target


def pack(header: dict[str, Any], tensors: dict[str, np.ndarray]) -> bytearray:
    """The bytes of a file.

    Raises
    ------
    PersistenceError
        If it would be larger than `unpack` reads.
    """
    from safetensors.numpy import save

    data = bytearray(save(tensors, metadata={"skneg": _BLANK.decode() + json.dumps(header)}))
    if not _is_marked(data):
        raise PersistenceError("this version of safetensors writes its header in an unknown order.")
    if len(data) > LARGEST_FILE:
        raise PersistenceError(f"it would take {len(data)} bytes, more than the {LARGEST_FILE} of a file.")
    try:
        _header(data)
    except ValueError as error:
        raise PersistenceError(f"its header would not be read again: {error}.") from error
    data[_DIGEST] = _digest(data)
    return data


def unpack(data: bytes, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and tensors of a file's bytes, once the checksum has been found right.

    Raises
    ------
    PersistenceError
        If it is not a file of skneg, or damaged.
    """
    if not _is_marked(data):
        raise _unmarked(name)
    if _digest(data) != data[_DIGEST]:
        raise PersistenceError(
            f"{name} is damaged: its sha256 is not the recorded one. Copy it again, or save it anew."
        )
    from safetensors.numpy import load

    try:
        header = _header(data)
        # It compares the places of all tensors with the length of the data before it makes any.
        tensors = {key: value.copy() for key, value in load(bytes(data)).items()}
    except MemoryError:
        raise
    except Exception as error:  # parsers raise a dozen types for what is one fact: not such a file
        raise PersistenceError(
            f"{name} cannot be parsed, though its sha256 is right ({type(error).__name__}: {error})."
        ) from error
    if not isinstance(header, dict):
        raise PersistenceError(f"{name} has a header that is no JSON object.")
    return header, tensors


def read_bytes(path: str | os.PathLike, largest: int = LARGEST_FILE) -> bytes:
    """The bytes of a finished file, of at most `largest` bytes."""
    source = _finished(path)
    try:
        return read_regular(source, largest)
    except FileNotFoundError as error:
        raise PersistenceError(f"{source} does not exist.") from error
    except OSError as error:
        raise PersistenceError(f"{source} cannot be read ({error}).") from error


def read_sealed(path: str | os.PathLike) -> bytes:
    """The bytes of a file that begins as one of skneg's; of another one, however large, only these few."""
    source = _finished(path)
    head = None
    with contextlib.suppress(OSError), open_regular(source) as file:  # `read_bytes` says what is wrong
        head = file.read(_DIGEST.stop + 1) or b""
    if head is not None and not _is_marked(head):
        raise _unmarked(str(source))
    return read_bytes(source)


def _finished(path: str | os.PathLike) -> Path:
    source = as_path(path)
    if source.name.endswith(UNFINISHED):
        raise PersistenceError(f"{source} is what an interrupted save left behind; delete it.")
    return source


def write_bytes(path: str | os.PathLike, data: bytes | bytearray, durable: bool = True) -> None:
    """Write a file in whole or not at all, whatever happens in between.

    A file that is there keeps its permissions. `durable` is for files that cannot be made again: it waits for
    the disk, so that they survive a power cut, and writes where a link leads, as `open` would. Without it a
    link is replaced, since whoever can write to a cache should not choose another file.

    Raises
    ------
    PersistenceError
        If it cannot be written, or there is a folder, a device, a pipe or a socket; what was there before
        is then still there.
    """
    target = Path(os.path.realpath(as_path(path))) if durable else as_path(path)
    # Unique, so that two processes do not write into each other's; hidden from "*.skneg".
    unfinished = target.with_name(f".{target.name}.{secrets.token_hex(8)}{UNFINISHED}")
    try:
        is_there = not target.is_symlink() and target.exists()
        if (durable and target.is_symlink()) or (is_there and not target.is_file()):
            # Renaming would put the file in its place, and break what else uses it.
            raise PersistenceError(f"{target} is not a regular file, and is not replaced by one.")
        try:
            with open(unfinished, "xb") as file:
                if is_there:
                    shutil.copymode(target, unfinished)  # before there is anything to read in it
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(unfinished, target)
        except BaseException:
            with contextlib.suppress(OSError):
                unfinished.unlink()
            raise
    except OSError as error:
        if isinstance(error, PersistenceError):
            raise
        raise PersistenceError(
            f"{target} could not be written ({error}); what was there before is unchanged."
        ) from error
    if durable:
        _sync_folder(target.parent)


def _unmarked(name: str) -> PersistenceError:
    return PersistenceError(f"{name} is not a file of skneg, or its beginning is damaged.")


def _header(data: bytes | bytearray) -> Any:
    """What the header of a file says, read only where it is of a sensible size; a `ValueError` else."""
    length = int.from_bytes(data[:8], "little")
    if length > min(_LONGEST_HEADER, len(data) - 8):
        raise ValueError(f"a header of {length} bytes is more than there is, or than {_LONGEST_HEADER}")
    # A tensor takes 8 values of the outer header: its name, its type, its shape, and where it lies.
    metadata = parse_json(data[8 : 8 + length], "the header")["__metadata__"]["skneg"]
    return parse_json(metadata[len(_BLANK) :], "the header")


def _is_marked(data: bytes | bytearray) -> bool:
    return data[8 : _DIGEST.start] == _MAGIC and len(data) > _DIGEST.stop


def _digest(data: bytes | bytearray) -> bytes:
    view = memoryview(data)
    sha = hashlib.sha256(view[: _DIGEST.start])
    sha.update(_BLANK)
    sha.update(view[_DIGEST.stop :])
    return sha.hexdigest().encode()


def _sync_folder(folder: Path) -> None:
    """Make the new name durable, where the system can; the file under it is in any case."""
    with contextlib.suppress(OSError):  # Windows opens no folders, some network drives sync none
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Keep other threads and processes out of this, where the file system can; else work is done twice."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, NotImplementedError):
            lock.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_locked(lock))
        yield


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    if fcntl is None:
        from filelock import FileLock

        with FileLock(path):
            yield
        return
    # Not by filelock: what it does on file systems without locks depends on its release.
    descriptor, opener = os.open(path, os.O_RDWR | os.O_CREAT, 0o666), os.getpid()
    _held.add(descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        if os.getpid() == opener:  # else forked within this: the descriptor is closed
            _held.discard(descriptor)
            with contextlib.suppress(OSError):  # a child that was just forked may still have it
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)


def _let_go() -> None:
    """Close the locks that a fork has copied: they would stay locked as long as the new process lives."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


after_fork(_let_go)
