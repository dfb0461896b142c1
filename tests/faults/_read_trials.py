"""Models, images, lists and folders that are not as they should be, by everything that reads one."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import skneg
from skneg._commands._images import labelled, unlabelled
from skneg.backbone import embedding_width, load_backbone
from skneg.backbone._config import CONFIG_NAME
from skneg.backbone._tiny import TINY_FOLDER, WEIGHTS_NAME
from skneg.datasets import list_images, load_image_folder, load_image_list, load_words
from skneg.datasets._image_classes import read_json
from skneg.images import unreadable

from ..backbone import test_config, test_timm
from ..persistence import test_bombs
from ..test_hostile import READERS
from ._detector_trials import bad_images, cases, close, good_images, no_files
from ._saved_trials import class_folder, command, new_folder, saved_mcm
from ._tiny import tiny_encoders, tiny_fitted, tiny_scenes
from ._trial import Trial

TIMM_FILES = (test_timm.CONFIG_NAME, test_timm.WEIGHTS)


def read_trials(folder: Path) -> Iterator[Trial]:
    yield from _models(folder)
    yield from _paths(folder)
    yield from _lists(folder)
    yield from _images(folder)


def _models(folder: Path) -> Iterator[Trial]:
    X, y = tiny_scenes()
    encode = tiny_encoders()
    readers: dict[str, Callable[[str], Any]] = {
        "embedding_width": embedding_width,
        "load_backbone": load_backbone,
        "CLIPImageEncoder": lambda model: encode["CLIPImageEncoder"](model=model).transform(X[:2]),
        "fit": lambda model: skneg.MCMDetector(model=model).fit(X, y),
        "load": lambda model: skneg.load(saved_mcm(folder), model=model).predict(X[:2]),
        "skneg fit": lambda model: command(
            "fit", class_folder(folder), "--model", model, "-o", folder / "never.skneg"
        ),
    }
    configs = {
        f"{path} = {value!r:.30}": json.dumps(test_config.changed(path, value)).encode()
        for path, value in cases(test_config.test_all_else_is_refused_by_its_name)
    }
    configs |= {
        f"{text!r:.20}": text.encode()
        for text, _ in cases(test_config.test_what_is_no_configuration_is_refused)
    }
    yield from _folders(folder, TINY_FOLDER, (CONFIG_NAME, WEIGHTS_NAME), configs, readers)
    of_timm: dict[str, Callable[[str], Any]] = {
        "embedding_width": lambda model: embedding_width(f"timm:{model}"),
        "TimmImageEncoder": lambda model: encode["TimmImageEncoder"](model=model).transform(X[:2]),
        "fit": lambda model: skneg.KNNDetector(model=f"timm:{model}").fit(X, y),
    }
    template = Path(encode["TimmImageEncoder"]().model.removeprefix("local-dir:"))
    yield from _folders(folder, template, TIMM_FILES, _timm_configs(folder, template), of_timm)
    readers["TimmImageEncoder"] = of_timm["TimmImageEncoder"]
    for way, read in readers.items():
        for model in (
            "no such model", "", "local-dir:", f"local-dir:{folder}/nowhere", "hf-hub:", "hf-hub:../../etc",
            "../skneg-tiny", "ViT-B-32\0", 5, None, b"skneg-tiny", ["skneg-tiny"],
        ):  # fmt: skip
            if isinstance(model, str) or not way.startswith("skneg"):
                kind = f"{model!r}".replace(str(folder), "FOLDER")
                yield Trial("a model's name", kind, way, "-", partial(read, model))


def _timm_configs(folder: Path, template: Path) -> dict[str, bytes]:
    """Configurations of timm's layout that are refused."""
    values = cases(test_timm.TestConfiguration.test_what_is_no_value_of_its_kind_is_refused)
    found = {}
    for entries, _ in values:
        if "num_classes" in entries:
            continue  # what newer versions of timm write beside it goes first
        place = new_folder(folder)
        shutil.copy(template / TIMM_FILES[0], place)
        test_timm.changed(place, **entries)
        found[f"{entries!r:.60}"] = (place / TIMM_FILES[0]).read_bytes()
    texts = cases(test_timm.TestConfiguration.test_what_is_no_configuration_is_refused)
    return found | {f"{text!r:.20}": text.encode("latin-1") for text in texts}


def _folders(
    folder: Path,
    template: Path,
    files: tuple[str, str],
    configs: dict[str, bytes],
    readers: dict[str, Callable[[str], Any]],
) -> Iterator[Trial]:
    """A model's folder that has another configuration, or other weights, than its template."""
    config_name, weights_name = files
    weights: dict[str, Callable[[bytes], bytes]] = {
        "empty": lambda data: b"",
        "half": lambda data: data[: len(data) // 2],
        "text": lambda data: b"weights",
        "a pickle": lambda data: pickle.dumps({"weights": 1}),
        "zeros": lambda data: bytes(len(data)),
        "a byte less": lambda data: data[:-1],
        "a huge header": lambda data: (2**60).to_bytes(8, "little") + data[8:],
    }
    # By kind: the file that is another one, and what it is.
    bad: dict[str, tuple[str, bytes | Path | None]] = {
        kind: (config_name, config) for kind, config in configs.items()
    }
    for kind, change in weights.items():
        bad[f"weights: {kind}"] = (weights_name, change((template / weights_name).read_bytes()))
    for name in files:
        bad[f"no {name}"] = (name, None)
        bad |= {f"{name}: {path.name}": (name, path) for path in no_files(folder)}
    for way, read in readers.items():
        for kind, (name, content) in bad.items():
            if (way, name) != ("embedding_width", weights_name):  # which it does not read
                call = partial(_model, folder, template, name, content, read)
                yield Trial("a model's folder", kind, way, template.name, call)


def _model(
    folder: Path, template: Path, name: str, content: bytes | Path | None, read: Callable[[str], Any]
) -> Any:
    place = new_folder(folder)
    try:
        for file in template.iterdir():
            if file.name != name:
                (place / file.name).symlink_to(file)
        if isinstance(content, bytes):
            (place / name).write_bytes(content)
        elif content is not None:
            (place / name).symlink_to(content)
        return read(f"local-dir:{place}")
    finally:
        shutil.rmtree(place)


def _paths(folder: Path) -> Iterator[Trial]:
    """Whatever reads a file, of what is none."""
    for way, read in READERS.items():
        for path in no_files(folder):
            yield Trial("a file", path.name, way, "-", partial(_apart, folder, path, read))
        for kind, data in test_bombs.bombs().items():
            # To a reader of lists it is a list, and what it says of itself can be told.
            listed = way in ("read_lines", "load_image_list", "a table", "read_json", "read_header")
            file = folder / f"bomb {kind}"
            file.write_bytes(data)
            yield Trial(
                "a file", f"bomb: {kind}", way, "-", partial(_apart, folder, file, read),
                (lambda found: True) if listed or way.startswith("sha256") else None, may_refuse=True,
            )  # fmt: skip


def _apart(folder: Path, path: Path, read: Callable[[Path], Any]) -> Any:
    """By a link of its own, as some readers write beside it."""
    place = new_folder(folder) / "below"
    place.mkdir()
    (place / "linked").symlink_to(path)
    try:
        return read(place / "linked")
    finally:
        shutil.rmtree(place.parent)


BAD_LISTS: dict[str, bytes] = {
    "empty": b"", "a null": b"a\0b.png 3\n",
    "Latin-1": b"\xe9.png 3\n", "UTF-16": "a.png 3\n".encode("utf-16"),
    "one column": b"a.png\n", "gone": b"gone.png 3\n", "an address": b"https://example.org/a.png 3\n",
    "a line of 10 MB": b"a" * 10**7, "a PNG": b"\x89PNG\r\n\x1a\n" + bytes(100), "comments": b"# nothing\n",
    "up and away": b"../../../../etc/passwd 3\n", "a table of no label": b"path,group\na.png,1\n",
    "a table of half rows": b"path,label\nclasses\n", "a table of quotes": b'path,label\n"a.png,3\n',
    "a table of empty cells": b"path,label\n,\n", "a table of folders": b"path,label\n.,3\n",
}  # fmt: skip
BAD_JSON: dict[str, bytes] = {
    "empty": b"", "brackets": b"[" * 10**5, "half": b'{"a": [1, 2', "twice": b'{"a": 1, "a": 2',
    "text": b"{a: 1}",
    "Latin-1": b'{"\xe9": 1}', "a huge number": b"[" + b"9" * 10**5 + b"]",
    "many values": b"[" + b"0," * 10**7 + b"0]",
}  # fmt: skip


def _lists(folder: Path) -> Iterator[Trial]:
    for kind, data in BAD_LISTS.items():
        file = folder / f"list {kind}.csv"
        file.write_bytes(data)
        lists = {
            "load_image_list": lambda file: load_image_list(file, folder),
            "a table": lambda file: labelled(str(file), "raise"),
            "a table, skip": lambda file: labelled(str(file), "skip"),
            "skneg fit": lambda file: command(
                "fit", file, "--model", "skneg-tiny", "-o", folder / "never.skneg"
            ),
            "skneg calibrate": lambda file: command(
                "calibrate", saved_mcm(folder), file, "-o", folder / "never.skneg"
            ),
            "skneg report": lambda file: command(
                "report", saved_mcm(folder), file, "-o", folder / "never.html"
            ),
            "skneg predict": lambda file: command("predict", saved_mcm(folder), file),
        }
        for way, read in lists.items():
            # Images are opened later, and such a list is right.
            later = way.startswith("a table") and kind in (
                "a table of half rows",
                "a table of folders",
                "a table of quotes",
            )
            yield Trial(
                "a list",
                kind,
                way,
                "-",
                partial(read, file),
                (lambda found: True) if later else None,
                may_refuse=later,
            )
    for kind, data in BAD_JSON.items():
        file = folder / f"{kind}.json"
        file.write_bytes(data)
        yield Trial("a list", f"JSON: {kind}", "read_json", "-", partial(read_json, file))
    empty = folder / "an empty folder"
    empty.mkdir()
    folders: dict[str, Callable[[Any], Any]] = {
        "list_images": list_images,
        "load_image_folder": load_image_folder,
        "unlabelled": lambda path: unlabelled(str(path), "raise"),
        "skneg fit": lambda path: command("fit", path, "--model", "skneg-tiny", "-o", folder / "never.skneg"),
        "load_words": load_words,
    }
    for way, read in folders.items():
        for path in (empty, folder / "nothing here", *no_files(folder)):
            if way == "unlabelled" and not path.is_dir():
                continue  # a path like others, which is opened later
            yield Trial("a list", f"a folder: {path.name}", way, "-", partial(read, path))


def _images(folder: Path) -> Iterator[Trial]:
    """What reads images without a detector."""
    X = tiny_scenes()[0]
    encoders = tiny_encoders()
    good = {name: make().transform(X[:2]) for name, make in encoders.items()}
    for kind, item in bad_images(folder).items():
        rows = [X[0], item, X[1]]
        calls: dict[str, Callable[[Any], Any]] = {
            **{name: lambda rows, make=make: make().transform(rows) for name, make in encoders.items()},
            **{
                f"{name} with a cache": lambda rows, make=make: make(cache=new_folder(folder)).transform(rows)
                for name, make in encoders.items()
            },
            "make_ood_scorer": lambda rows: skneg.make_ood_scorer("auroc")(
                tiny_fitted("MCMDetector"), rows, ["heart", "unknown", "key"]
            ),
            "report.html": lambda rows: skneg.report.html(
                tiny_fitted("MCMDetector"), rows, path=folder / "never.html"
            ),
            "suggest_classes": lambda rows: skneg.inspection.suggest_classes(
                tiny_fitted("MCMDetector"), rows
            ),
        }
        for way, call in calls.items():
            yield Trial("an image", kind, way, "-", partial(call, rows))
        for name, make in encoders.items():
            call = partial(lambda make, rows: make(on_error="skip").transform(rows), make, rows)
            check = partial(_skipped, good[name])
            yield Trial("an image", kind, f"{name}(on_error='skip')", "-", call, check)
        yield Trial(
            "an image",
            kind,
            "unreadable",
            "-",
            partial(unreadable, rows),
            lambda found: [e.index for e in found] == [1],
        )
        if isinstance(item, Path) or (isinstance(item, str) and item.startswith(str(folder))):
            yield Trial(
                "an image", kind, "skneg predict", "-", partial(command, "predict", saved_mcm(folder), item)
            )
    for kind, item in good_images(folder).items():
        for name, make in encoders.items():
            expected = partial(close, partial(good[name].__getitem__, slice(1)))
            for way, kept in {name: None, f"{name} with a cache": folder / "cache"}.items():
                call = partial(make(cache=kept).transform, [item])
                yield Trial("an image", kind, way, "-", call, expected)


def _skipped(good: np.ndarray, found: np.ndarray) -> bool:
    return bool(np.isnan(found[1]).all() and np.allclose(found[[0, 2]], good, atol=1e-4))
