"""Small helpers that every room uses: lazy names, optional packages, warnings, checks of parameters."""

from __future__ import annotations

import ast
import os
import sys
import warnings
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from importlib import import_module
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from .errors import InputError, InputTypeError, MissingDependencyError

_unheard: ContextVar[tuple[type[Warning], ...]] = ContextVar("unheard", default=())

_BLOCK = 2**20  # numbers that are worked on at a time: 8 MiB an array in float64
_CELLS = 2**22  # of a product alive at a time while scoring: 16 MiB in float32
_ROWS = 64  # images in a block at the least: a product of fewer with many texts costs twice as much


def attach(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package whose names are imported when first used.

    `homes` says which module of the package holds each name, so that `import skneg` imports no torch.
    """

    def getattribute(name: str) -> Any:
        if name in homes:
            return getattr(import_module(f"{package}.{homes[name]}"), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return getattribute, lambda: sorted(homes)


def require(module: str, user: str, way_out: str = "pip install skneg[plot]") -> Any:
    """An optional package, or an error that says how to get it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f"{user} needs {module}, which is not installed: {way_out}") from error


def stacklevel_outside() -> int:
    """The `stacklevel` that makes a warning point to the caller of skneg, however deep it arises."""
    # `warnings.warn` has `skip_file_prefixes` for this from Python 3.12 on.
    inside = tuple(
        f"{Path(sys.modules[name].__file__ or '').parent}{os.sep}"
        for name in (__package__, "sklearn", "joblib")
        if name in sys.modules
    )
    frame, level = sys._getframe(1), 1
    while frame.f_code.co_filename.startswith(inside) and frame.f_back is not None:
        frame, level = frame.f_back, level + 1
    return level


def warn(message: str, category: type[Warning]) -> None:
    """Warn whoever called skneg, but of nothing that is `unheard`."""
    if not issubclass(category, _unheard.get()):
        warnings.warn(message, category, stacklevel=stacklevel_outside())


@contextmanager
def unheard(*categories: type[Warning]) -> Iterator[None]:
    """Within this context, and in this thread, `warn` keeps silent of some of skneg's own warnings.

    Unlike `warnings.catch_warnings`, which changes the filters of the process.
    """
    token = _unheard.set((*_unheard.get(), *categories))
    try:
        yield
    finally:
        _unheard.reset(token)


def unit_rows(X: np.ndarray, name: str = "X", first: int = 0) -> np.ndarray:
    """Float32 vectors of length 1 along the last axis; rows that are so already keep their bits.

    Computed in float64 after division by the largest entry, so that no scale overflows. `first` is the number
    of the first row in an error.

    Raises
    ------
    InputError
        If a row is not finite or all zeros; names it and `name`.
    """
    X = np.asarray(X)
    unit = np.empty(X.shape, dtype=np.float32)
    step = max(1, _BLOCK // max(1, X[:1].size))
    for start in range(0, len(X), step):
        # In one order: sums, and so the last bits, would depend on the layout that X came in.
        block = np.asarray(X[start : start + step], dtype=np.promote_types(X.dtype, np.float32), order="C")
        largest = np.maximum(block.max(axis=-1, keepdims=True), -block.min(axis=-1, keepdims=True))
        for bad, what in (
            (~np.isfinite(largest), "NaN or infinity"),
            (largest == 0, "a vector of all zeros"),
        ):
            if bad.any():
                row = first + start + int(bad.reshape(len(block), -1).any(axis=1).argmax())
                raise InputError(f"Input {name} contains {what}, first in row {row}.")
        with np.errstate(over="ignore"):
            squares = np.einsum("...d,...d->...", block, block)
        # Mostly all rows are unit, which costs a tenth to see of what it would to divide them by 1.
        if not (np.abs(squares - 1) < 1e-6).all():
            block = scaled_rows(block.astype(np.float64), largest.astype(np.float64))
        unit[start : start + step] = block
    return unit


def refuse_masked(name: str, value: Any) -> None:
    """Refuse an array with masked values, since what lies below a mask is no value."""
    if np.ma.is_masked(value):
        raise InputError(f"{name} has masked values: leave their rows out, or give them values by filled().")


def float_array(value: Any) -> np.ndarray | None:
    """An array, a tensor or nested lists as an array of floats, none wider than float64.

    None where it is something else, or would lose something: complex numbers, sparse or masked values.
    """
    try:
        if hasattr(value, "detach"):
            value = value.detach().float().cpu().numpy()
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError):  # lists of several lengths, tensors without values
        return None
    if array.dtype.kind not in "fiu" or np.ma.is_masked(value):
        return None
    return array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32, copy=False)


def finite(scores: np.ndarray) -> np.ndarray:
    """Scores or posteriors as they are; an error where one is NaN or infinite.

    Images and embeddings are finite when they are scored, so it is a parameter that does not fit.
    """
    if scores.dtype.kind == "f" and not np.isfinite(scores).all():
        raise InputError(
            "a score is NaN or infinite: a parameter of the score, such as score_temperature, is too small "
            "or too large to compute with."
        )
    return scores


def scaled_rows(X: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """What `unit_rows` makes of float64 rows whose largest entry is known, and neither 0 nor infinite."""
    with np.errstate(over="ignore"):
        is_unit = np.abs(np.linalg.norm(X, axis=-1, keepdims=True) - 1) < 1e-6
    X = np.where(is_unit, X, X / largest)
    return (X / np.where(is_unit, 1, np.linalg.norm(X, axis=-1, keepdims=True))).astype(np.float32)


def as_float(value: Any) -> float:
    """A real number as a float; NaN for anything else, and for an int that is too large."""
    try:
        return float(value) if isinstance(value, Real) else np.nan
    except OverflowError:
        return np.nan


def check_at_least(name: str, value: Any, least: float, kind: Any = Real) -> None:
    number, most = (value, 2**63) if kind is Integral else (as_float(value), np.inf)
    if isinstance(value, bool) or not isinstance(value, kind) or not least <= number < most:
        what = "an integer" if kind is Integral else "a finite number"
        raise InputError(f"{name} must be {what} of at least {least}, got {value!r}.")


def check_between(name: str, value: Any, low: float, high: float) -> None:
    if isinstance(value, bool) or not low < as_float(value) < high:
        raise InputError(f"{name} must lie between {low} and {high}, got {value!r}.")


def check_option(name: str, value: Any, options: Sequence[Any]) -> None:
    # A value may be an array, which has no truth of its own.
    if not isinstance(value, Hashable) or value not in options:
        raise InputError(f"{name} must be one of {list(options)}, got {value!r}.")


def check_switch(name: str, value: Any) -> None:
    """Refuse what is neither true, false nor an integer: an array has no truth, and a text is always true."""
    if not isinstance(value, bool | np.bool_ | Integral):
        raise InputTypeError(f"{name} must be True or False, got {value!r}.")


def check_templates(name: str, templates: str | Sequence[str]) -> list[str]:
    """Prompt templates as a list, each with one ``{}`` for the name."""
    if not isinstance(templates, Iterable):
        raise InputTypeError(f"{name} must be a template or a sequence of them, got {templates!r:.200}.")
    listed = [templates] if isinstance(templates, str) else list(templates)
    if not listed:
        raise InputError(f"{name} is empty; give at least one, such as 'a photo of a {{}}'.")
    for template in listed:
        if not isinstance(template, str) or template.count("{}") != 1:
            raise InputError(f"{name} holds {template!r}; each must be a string with one '{{}}'.")
    return listed


def check_seed(random_state: Any) -> np.random.RandomState:
    """scikit-learn's `check_random_state` with our error."""
    from sklearn.utils import check_random_state

    try:
        return check_random_state(random_state)
    except (TypeError, ValueError) as error:  # TypeError: its message breaks on a tuple
        raise InputError(f"random_state={random_state!r} cannot seed anything: {error}") from error


def check_kind(name: str, value: Any, kind: type) -> None:
    """Refuse a value that is not of a class of ours, such as a recipe of another method."""
    if not isinstance(value, kind):
        raise InputTypeError(f"{name} must be a {kind.__name__}, got {value!r}.")


def literal(text: str) -> Any:
    """The Python literal that a text is, or the text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """What a message about an unknown name ends with, a blank before it; empty where none is near."""
    near = get_close_matches(name, list(known), n=2, cutoff=0.5)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""


def by_blocks(Z: np.ndarray, width: int, answer: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Answers to rows of Z, some at a time: as many as keep products with `width` columns small."""
    step = max(_ROWS, _CELLS // width)
    return np.concatenate([answer(block) for block in np.split(Z, range(step, len(Z), step))])
