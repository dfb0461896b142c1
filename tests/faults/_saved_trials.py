"""Files of detectors and caches that are not as they should be, and places where nothing can be written."""

from __future__ import annotations

import contextlib
import io
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import skneg
from skneg import CLIPImageEncoder
from skneg.__main__ import main
from skneg.errors import InputError
from skneg.persistence import read_header

from ..persistence.conftest import forge
from ..test_common import NAMES, words_for
from ._detector_trials import close, no_files
from ._tiny import tiny_fitted, tiny_input, tiny_scenes
from ._trial import Trial


def saved_trials(folder: Path) -> Iterator[Trial]:
    yield from _detectors(folder)
    yield from _targets(folder)
    yield from _caches(folder)


def command(*arguments: Any) -> None:
    """A command that must say in one line why it ends."""
    told = io.StringIO()
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as ended:
            status = ended.code
    if status:
        assert "Traceback" not in told.getvalue()
        raise InputError(told.getvalue())


def new_folder(folder: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=folder))


def _flip(place: float) -> Callable[[Path], Any]:
    def flip(file: Path) -> None:
        data = bytearray(file.read_bytes())
        data[min(int(place * len(data)), len(data) - 1)] ^= 4
        file.write_bytes(data)

    return flip


def _rewritten(change: Callable[[bytes], bytes]) -> Callable[[Path], Any]:
    return lambda file: file.write_bytes(change(file.read_bytes()))


def forged(change: Callable[[Any, Any], Any]) -> Callable[[Path], Any]:
    return lambda file: forge(file, change)


def _in_detector(key: str, value: Any) -> Callable[[Path], Any]:
    return forged(lambda header, _: header["detector"].update({key: value}))


def _spoilt(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], Any]:
    """All arrays of numbers with a fraction, as no fit leaves them."""

    def spoil(header: Any, tensors: Any) -> None:
        for name, tensor in tensors.items():
            if tensor.dtype.kind == "f":
                tensors[name] = change(tensor)

    return forged(spoil)


# By any reader; those of the second table only where the detector is made.
DAMAGES: dict[str, Callable[[Path], Any]] = {
    "empty": _rewritten(lambda data: b""),
    "one byte": _rewritten(lambda data: data[:1]),
    "half": _rewritten(lambda data: data[: len(data) // 2]),
    "all but a byte": _rewritten(lambda data: data[:-1]),
    "a byte more": _rewritten(lambda data: data + b"\0"),
    "twice": _rewritten(lambda data: data * 2),
    "text": _rewritten(lambda data: b"not a detector\n"),
    "a pickle": _rewritten(lambda data: pickle.dumps({"detector": 1})),
    "zeros": _rewritten(lambda data: bytes(len(data))),
    "an image": _rewritten(lambda data: test_image()),
    **{f"a bit at {place}": _flip(place) for place in (0, 0.01, 0.1, 0.5, 0.9, 1)},
    "a later format": forged(lambda header, _: header.update(format=99)),
    "an earlier format": forged(lambda header, _: header.update(format=1)),
    "no format": forged(lambda header, _: header.pop("format")),
    "a format of text": forged(lambda header, _: header.update(format="2")),
}  # fmt: skip
FORGED: dict[str, Callable[[Path], Any]] = {
    "no detector": forged(lambda header, _: header.pop("detector")),
    "a detector of text": forged(lambda header, _: header.update(detector="x")),
    "code for a class": _in_detector("class", "os.system"),
    "no class": _in_detector("class", None),
    "no attributes": _in_detector("attributes", {}),
    "attributes of a list": _in_detector("attributes", []),
    "parameters of a list": _in_detector("parameters", []),
    "no arrays": forged(lambda _, tensors: tensors.clear()),
    "NaN in arrays": _spoilt(lambda tensor: tensor * np.array(np.nan, tensor.dtype)),
    "arrays of one column": _spoilt(lambda tensor: tensor[..., :1].copy()),
    "arrays of no row": _spoilt(lambda tensor: tensor[:0]),
    "arrays of one more axis": _spoilt(lambda tensor: tensor[None]),
    "arrays of whole numbers": _spoilt(lambda tensor: tensor.astype(np.int32)),
}  # fmt: skip


def test_image() -> bytes:
    file = io.BytesIO()
    Image.fromarray(tiny_scenes()[0][0]).save(file, "PNG")
    return file.getvalue()


@cache
def _saved(name: str, folder: Path) -> bytes:
    file = folder / f"{name}.skneg"
    tiny_fitted(name).save(file)
    return file.read_bytes()


def _loaded(load: Callable[..., Any], name: str, file: Path) -> Any:
    return load(file, **({"candidate_labels": words_for} if name == "ZOCDetector" else {}))


def _detectors(folder: Path) -> Iterator[Trial]:
    image = folder / "image.png"
    image.write_bytes(test_image())
    for name in NAMES:
        X, kept = tiny_input(name)[0], partial(_saved, name, folder)
        scores = partial(tiny_fitted(name).score_samples, X[:6])
        other = getattr(skneg, NAMES[NAMES.index(name) - 1])
        makers = {
            "load": partial(_loaded, skneg.load, name),
            "its class's load": partial(_loaded, getattr(skneg, name).load, name),
            "skneg predict": lambda file: command("predict", file, image),
            "skneg report": lambda file: command("report", file, image.parent, "-o", file.parent / "a.html"),
        }
        readers = {"read_header": read_header, "skneg info": lambda file: command("info", file), **makers}
        for kind, damage in {**DAMAGES, **FORGED}.items():
            for way, read in (readers if kind in DAMAGES else makers).items():
                yield Trial(
                    # What needs the model to see what is wrong says so with the first image.
                    "a detector's file",
                    kind,
                    way,
                    name,
                    partial(damaged, kept, folder, damage, read, X[:2] if "load" in way else None),
                )
        for path in no_files(folder):
            for way, read in readers.items():
                yield Trial("a detector's file", path.name, way, name, partial(read, path))
        yield Trial(
            "a detector's file", "of another class", "load", name,
            partial(damaged, kept, folder, lambda file: None, partial(_loaded, other.load, name)),
        )  # fmt: skip
        for way in ("load", "its class's load"):
            call = partial(damaged, kept, folder, lambda file: None, makers[way], X[:6])
            yield Trial("a detector's file", "sound", way, name, call, partial(same, scores))


def same(expected: Callable[[], np.ndarray], found: np.ndarray) -> bool:
    return bool((found == expected()).all())


def damaged(
    kept: Callable[[], bytes],
    folder: Path,
    damage: Callable[[Path], Any],
    read: Callable[[Path], Any],
    X: Any = None,
) -> Any:
    """What is read of a file, and what it says of X, once it is damaged."""
    file = new_folder(folder) / "a.skneg"
    file.write_bytes(kept())
    damage(file)
    try:
        found = read(file)
        return found if X is None else found.score_samples(X)
    finally:
        shutil.rmtree(file.parent)


def _targets(folder: Path) -> Iterator[Trial]:
    """Where nothing can be written, and what was there stays."""
    targets = {path.name: path for path in no_files(folder) if path.name != "nowhere"}
    targets |= {
        "in a file": folder / "image.png" / "a",
        "no folder": folder / "nowhere at all" / "a",
        "a long name": folder / ("a" * 300),
        "a null": f"{folder}/a\0b",
        "no path": 5,
        "nothing": None,
    }
    for name in NAMES:
        for kind, path in targets.items():
            yield Trial("a target", kind, "save", name, partial(tiny_fitted(name).save, path))
    X, y = tiny_scenes()
    writers: dict[str, Callable[[Any], Any]] = {
        "report.html": lambda path: skneg.report.html(tiny_fitted("MCMDetector"), X, y, path=path),
        "skneg predict --csv": lambda path: command(
            "predict", saved_mcm(folder), folder / "image.png", "--csv", path
        ),
        "skneg fit": lambda path: command(
            "fit", class_folder(folder), "--detector", "MCMDetector", "-o", path
        ),
    }
    for way, write in writers.items():
        for kind, path in targets.items():
            if way.startswith("skneg") and (
                isinstance(path, int | None) or (kind in ("a link", "a pipe") and "csv" in way)
            ):
                continue  # no argument; and answers may go to a device or a pipe
            yield Trial("a target", kind, way, "-", partial(write, path))


@cache
def saved_mcm(folder: Path) -> Path:
    file = folder / "mcm.skneg"
    tiny_fitted("MCMDetector").save(file)
    return file


@cache
def class_folder(folder: Path) -> Path:
    place = folder / "classes"
    X, y = tiny_scenes()
    for number, (image, label) in enumerate(zip(X, y, strict=True)):
        (place / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / label / f"{number}.png")
    return place


def _caches(folder: Path) -> Iterator[Trial]:
    """A damaged entry costs time, never an answer."""
    X = tiny_scenes()[0]
    good = CLIPImageEncoder(model="skneg-tiny").transform(X[:3])
    kinds: dict[str, Callable[[Path], Any]] = {
        kind: damage for kind, damage in DAMAGES.items() if "format" not in kind
    }
    kinds |= {
        "of other columns": _spoilt(lambda tensor: tensor[..., :3].copy()),
        "NaN": _spoilt(lambda tensor: tensor * np.array(np.nan, tensor.dtype)),
        "two rows": _spoilt(lambda tensor: np.stack([tensor, tensor])),
        "whole numbers": _spoilt(lambda tensor: tensor.astype(np.int32)),
        "no array": forged(lambda _, tensors: tensors.clear()),
        "a folder": lambda file: (file.unlink(), file.mkdir()),
        **{path.name: partial(_linked, path) for path in no_files(folder)},
    }  # fmt: skip
    for kind, damage in kinds.items():
        for way in ("transform", "transform twice", "on_error='skip'"):
            call = partial(_from_cache, folder, damage, way)
            # Such entries are sealed: someone has made them.
            sealed = kind in ("of other columns", "two rows")
            yield Trial("a cache", kind, way, "-", call, partial(close, lambda: good), may_refuse=sealed)


def _linked(path: Path, file: Path) -> None:
    file.unlink()
    file.symlink_to(path)


def _from_cache(folder: Path, damage: Callable[[Path], Any], way: str) -> np.ndarray:
    X, place = tiny_scenes()[0], new_folder(folder)
    try:
        CLIPImageEncoder(model="skneg-tiny", cache=place).transform(X[:3])
        entries = sorted(path for path in place.rglob("*") if path.is_file() and path.stat().st_size > 100)
        assert len(entries) == 3, entries
        for entry in entries[:2]:
            damage(entry)
        encoder = CLIPImageEncoder(
            model="skneg-tiny", cache=place, on_error="skip" if "skip" in way else "raise"
        )
        if "twice" in way:
            encoder.transform(X[:3])
        return encoder.transform(X[:3])
    finally:
        shutil.rmtree(place)
