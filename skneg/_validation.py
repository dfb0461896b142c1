"""Checks of constructor parameters: each names the parameter, what it got and what it takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from .errors import InputError


def check_at_least(name: str, value: Any, least: float, kind: Any = Real) -> None:
    if isinstance(value, bool) or not isinstance(value, kind) or not value >= least:
        what = "an integer" if kind is Integral else "a number"
        raise InputError(f"{name} must be {what} of at least {least}, got {value!r}.")


def check_between(name: str, value: Any, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or not low < float(value) < high:
        raise InputError(f"{name} must lie between {low} and {high}, got {value!r}.")


def check_option(name: str, value: Any, options: Sequence[Any]) -> None:
    if value not in options:
        raise InputError(f"{name} must be one of {list(options)}, got {value!r}.")


def check_seed(random_state: Any) -> np.random.RandomState:
    """scikit-learn's `check_random_state` with our error."""
    try:
        return check_random_state(random_state)
    except ValueError as error:
        raise InputError(f"random_state={random_state!r} cannot seed anything: {error}") from error


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """What a message about an unknown name ends with, a blank before it; empty where none is near."""
    near = get_close_matches(name, list(known), n=2, cutoff=0.5)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
