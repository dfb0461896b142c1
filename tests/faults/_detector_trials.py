"""Every detector, by every way in, with images, numbers, labels, names and parameters that are wrong."""

from __future__ import annotations

import io
import pickle
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.exceptions import NotFittedError

import skneg
from skneg.errors import ImageError

from ..conftest import paths_of_no_files
from ..images import test_bombs, test_decode, test_inputs
from ..test_common import NAMES
from ..test_vocabulary import test_unusable_labels_are_refused
from ._tiny import PIXEL_READERS, SHAPES, tiny_detector, tiny_encoders, tiny_fitted, tiny_input, tiny_scenes
from ._trial import Trial
from .test_numbers import REFUSED, RIGHT, TABLES

N_ROWS = 6

# What reads images or embeddings, and their labels.
WAYS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "score_samples": lambda detector, X, y: detector.score_samples(X),
    "predict": lambda detector, X, y: detector.predict(X),
    "predict_proba": lambda detector, X, y: detector.predict_proba(X),
    "predict_set": lambda detector, X, y: detector.predict_set(X),
    "p_values": lambda detector, X, y: detector.p_values(X),
    "explain": lambda detector, X, y: detector.explain(X).score,
    "predict_stream": lambda detector, X, y: np.concatenate([p.score for p in detector.predict_stream(X)]),
    "fit": lambda detector, X, y: detector.fit(X, y),
    "calibrate": lambda detector, X, y: detector.calibrate(X, y),
    "calibrate_unknown": lambda detector, X, y: detector.calibrate_unknown(X, accepted=0.1),
    "add_images": lambda detector, X, y: detector.add_images(X, y),
    "set_vocabulary": lambda detector, X, y: detector.set_vocabulary(list(detector.class_names_), X, y),
}  # fmt: skip
SCORES = ("score_samples", "explain", "predict_stream")  # three ways to the same numbers
LABELLED = ("fit", "calibrate", "add_images", "set_vocabulary")


def cases(test: Any) -> list[Any]:
    """The table of a parametrized test."""
    return next(mark.args[1] for mark in test.pytestmark if mark.name == "parametrize")


def untouched(name: str, act: Callable[[Any], Any]) -> Any:
    """What comes of a call of a fitted detector, which a call that fails must leave as it was."""
    detector = pickle.loads(pickle.dumps(tiny_fitted(name)))
    state = detector._state
    try:
        return act(detector)
    except Exception:
        assert detector._state is state, f"{name} has changed, though the call has failed"
        raise


def names(error: type, row: int, call: Callable[[], Any]) -> Any:
    """An error that names another row is as good as a crash."""
    try:
        return call()
    except error as caught:
        if caught.index == row:  # type: ignore[attr-defined]
            raise
        raise RuntimeError(f"row {row} is bad, and another is named") from caught


def detector_trials(folder: Path) -> Iterator[Trial]:
    yield from _encoder_parameters()
    for name in NAMES:
        yield from _images(name, folder)
        yield from _containers(name)
        if name not in PIXEL_READERS:
            yield from _numbers(name, folder)
        yield from _labels(name)
        yield from _names(name)
        yield from _parameters(name)
        yield from _unfitted(name)


def _images(name: str, folder: Path) -> Iterator[Trial]:
    X, y = tiny_scenes()
    for kind, item in bad_images(folder).items():
        rows = [*X[: N_ROWS - 1], item]
        for way, act in WAYS.items():
            act = partial(act, X=rows, y=y[:N_ROWS])
            call = partial(names, ImageError, N_ROWS - 1, partial(untouched, name, act))
            yield Trial("an image", kind, way, name, call)
    for kind, item in good_images(folder).items():
        for way in SCORES:
            expected = partial(close, partial(tiny_fitted(name).score_samples, X[:1]))
            yield Trial(
                "an image", kind, way, name, partial(WAYS[way], tiny_fitted(name), [item], None), expected
            )


def close(expected: Callable[[], np.ndarray], found: np.ndarray) -> bool:
    return bool(np.allclose(found, expected(), rtol=1e-3, atol=1e-4))


@cache
def bad_images(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    bombs = test_bombs.bombs()
    refused = ("png", "png of 180 MP", "gif screen", "gif frame", "jpeg", "bmp", "ppm", "webp", "tiff sides")
    for kind, data in {**test_decode.faults(), **{f"bomb: {kind}": bombs[kind] for kind in refused}}.items():
        path = folder / f"bad {kind.replace(':', '')}"
        path.write_bytes(data)
        found |= {f"{kind}, bytes": data, f"{kind}, file": str(path)}
    for item, message in cases(test_decode.test_items_that_are_no_image_are_named):
        found[f"{type(item).__name__}: {message}"] = item
    for item, message in cases(test_inputs.test_an_item_without_one_image_is_named)[:4]:
        found[f"{type(item).__name__}: {message}"] = item
    return found | {path.name: path for path in no_files(folder)}


@cache
def no_files(folder: Path) -> list[Path]:
    paths = paths_of_no_files(folder / "no files")
    (paths["a loop"].parent / "nowhere").symlink_to("nothing")
    return sorted(paths["a loop"].parent.iterdir())


@cache
def good_images(folder: Path) -> dict[str, Any]:
    """One and the same image."""
    image = Image.fromarray(tiny_scenes()[0][0])
    found: dict[str, Any] = {"array": np.asarray(image), "Pillow": image, "with alpha": image.convert("RGBA")}

    def saved(kind: str, image: Image.Image, fmt: str, **options: Any) -> None:
        file = io.BytesIO()
        image.save(file, fmt, **options)
        path = folder / f"good {kind}"
        path.write_bytes(file.getvalue())
        found[kind], found[f"{kind}, bytes"] = path, file.getvalue()

    for fmt, options in {
        "PNG": {}, "BMP": {}, "TIFF": {}, "PPM": {}, "WEBP": {"lossless": True, "exact": True},
    }.items():  # fmt: skip
        saved(fmt, image, fmt, **options)
    saved("TIFF, packed", image, "TIFF", compression="tiff_lzw")
    saved("PNG with alpha", image.convert("RGBA"), "PNG")
    for tag, undone in {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90}.items():
        exif = Image.Exif()
        exif[274] = tag
        saved(f"PNG, turned by tag {tag}", image.transpose(undone), "PNG", exif=exif)
    return found


def _containers(name: str) -> Iterator[Trial]:
    _, y = tiny_scenes()
    for X, _, message in cases(test_inputs.test_other_containers_are_refused):
        for way, act in WAYS.items():
            read_once = hasattr(X, "__next__") or "list(X)" in message.replace("\\", "")
            if way == "predict_stream" and (isinstance(X, list) or read_once):
                continue  # a stream may end at once, and takes what is read once
            act = partial(act, X=X, y=y[:3])
            yield Trial(
                "a container", f"{type(X).__name__}: {message}", way, name, partial(untouched, name, act)
            )


def _numbers(name: str, folder: Path) -> Iterator[Trial]:
    X, y = tiny_input(name)
    for kind, make in REFUSED.items():
        for way, act in WAYS.items():
            if (kind, way) == ("no rows", "predict_stream"):
                continue
            if (kind, way) == ("other width", "fit") and not tiny_fitted(name).reads_names:
                continue
            act = partial(lambda detector, act, make: act(detector, make(X), y), act=act, make=make)
            yield Trial("embeddings", kind, way, name, partial(untouched, name, act))
    for kind, make in RIGHT.items():
        if X.ndim != 2 and kind in TABLES:
            continue
        for way in SCORES:
            call = partial(
                lambda way, make: WAYS[way](
                    tiny_fitted(name), make(X[:N_ROWS], Path(tempfile.mkdtemp(dir=folder))), None
                ),
                way, make,
            )  # fmt: skip
            expected = partial(close, partial(tiny_fitted(name).score_samples, X[:N_ROWS]))
            yield Trial("embeddings", kind, way, name, call, expected)


def bad_labels(name: str) -> dict[str, tuple[Any, Any]]:
    """Images and labels for them."""
    X, y = tiny_input(name)
    bad = {f"{message}": labels for labels, _, message in cases(test_unusable_labels_are_refused)[1:]}
    bad = {
        message: (X[: len(labels)] if message != "3 images, 2 labels" else X[:3], labels)
        for message, labels in bad.items()
    }
    return bad | {
        "too few": (X, y[:-1]),
        "too many": (X, [*y, "star"]),
        "a text": (X, "star"),
        "a number": (X, 5),
        "a set": (X, set(y)),
        "all NaN": (X, np.full(len(X), np.nan)),
        "complex": (X, np.ones(len(X), complex)),
        "columns": (X, np.stack([y, y], axis=1)),
        "dates": (X, np.full(len(X), "2020-01-01", "datetime64[D]")),
    }


def _labels(name: str) -> Iterator[Trial]:
    X, _ = tiny_input(name)
    for kind, (rows, labels) in bad_labels(name).items():
        for way in LABELLED:
            act = partial(WAYS[way], X=rows, y=labels)
            yield Trial("labels", kind, way, name, partial(untouched, name, act))
    for way in LABELLED[1:]:
        act = partial(WAYS[way], X=X, y=np.full(len(X), "a class that nobody knows"))
        yield Trial("labels", "of another class", way, name, partial(untouched, name, act))


BAD_NAMES: dict[str, Any] = {
    "none": [], "a text": "heart",
    "bytes": b"heart", "a set": set(SHAPES), "a number": 5, "NaN": float("nan"),
    "twice": ["heart", "heart", "star"], "empty": ["heart", "", "star"], "spaces": ["heart", " \t", "star"],
    "not seen": ["heart", "\u200b\n", "star"], "of numbers": [1, 2, 3], "with None": ["heart", None, "star"],
    "nested": [["heart"], ["key"], ["star"]], "a class": dict,
    "keys of two kinds": {"heart": "heart", 1: "key", "star": "star"},
    "values of numbers": {"heart": 1, "key": 2, "star": 3}, "100,000 letters": ["heart", "key", "a" * 10**5],
    "columns": np.array([SHAPES, SHAPES]), "bytes in a list": [b"heart", b"key", b"star"],
}  # fmt: skip


def _names(name: str) -> Iterator[Trial]:
    X, y = tiny_input(name)
    ways: dict[str, Callable[[Any, Any], Any]] = {
        "set_vocabulary": lambda detector, names: detector.set_vocabulary(names),
        "fit(class_names=)": lambda detector, names: detector.fit(X, y, class_names=names),
        "class_names=": lambda detector, names: detector.set_params(class_names=names).fit(X, y),
    }
    for kind, given in BAD_NAMES.items():
        for way, act in ways.items():
            call = partial(
                untouched,
                name,
                partial(lambda detector, act, given: act(detector, given), act=act, given=given),
            )
            # Who reads no names has no need of them.
            silent = way != "set_vocabulary" and not tiny_fitted(name).reads_names
            yield Trial(
                "class names", kind, way, name, call, _finite(name) if silent else None, may_refuse=silent
            )


def _finite(name: str) -> Callable[[Any], bool]:
    return lambda detector: bool(np.isfinite(detector.score_samples(tiny_input(name)[0][:2])).all())


BAD_VALUES: dict[str, Any] = {
    "-1": -1, "NaN": float("nan"), "inf": float("inf"), "10**400": 10**400, "a text": "no such thing",
    "a list": [], "a dict": {"a": 1}, "an object": object(), "a class": dict,
    "bytes": b"a", "an array": np.ones(3),
}  # fmt: skip


def _parameters(name: str) -> Iterator[Trial]:
    """Refused, or a detector with finite answers: what a parameter takes differs."""
    for parameter in tiny_fitted(name).get_params(deep=False):
        for kind, value in BAD_VALUES.items():
            for way in ("fit", "predict"):
                call = partial(_with_parameter, name, parameter, value, way)
                yield Trial(
                    "a parameter", f"{parameter} = {kind}", way, name, call, _finite(name), may_refuse=True
                )


def _encoder_parameters() -> Iterator[Trial]:
    X = tiny_scenes()[0][:2]
    for name, make in tiny_encoders().items():
        for parameter, (kind, value) in product(make().get_params(), BAD_VALUES.items()):
            yield Trial(
                "a parameter", f"{parameter} = {kind}", "transform", name,
                partial(lambda make, given: make(**given).transform(X), make, {parameter: value}),
                lambda found: bool(np.isfinite(found).all()), may_refuse=True,
            )  # fmt: skip


def _with_parameter(name: str, parameter: str, value: Any, way: str) -> Any:
    X, y = tiny_input(name)
    if way == "fit":
        return tiny_detector(name).set_params(**{parameter: value}).fit(X, y)
    detector = pickle.loads(pickle.dumps(tiny_fitted(name))).set_params(**{parameter: value})
    detector.predict(X[:2])
    return detector


def _unfitted(name: str) -> Iterator[Trial]:
    X, y = tiny_input(name)
    calls = {way: partial(act, X=X, y=y) for way, act in WAYS.items() if way not in ("fit", "set_vocabulary")}
    calls |= {
        "set_vocabulary": lambda detector: detector.set_vocabulary(SHAPES),
        "save": lambda detector: detector.save("never.skneg"),
        "suggest_classes": lambda detector: skneg.inspection.suggest_classes(detector, X),
    }
    for way, act in calls.items():
        yield Trial("not fitted", "not fitted", way, name, partial(raises_not_fitted, name, act))


def raises_not_fitted(name: str, act: Callable[[Any], Any]) -> Any:
    try:
        return act(tiny_detector(name))
    except NotFittedError:
        raise
    except Exception as error:
        raise AssertionError(f"no NotFittedError: {error!r}") from error
