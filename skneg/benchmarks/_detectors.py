"""Detectors by name with their parameters, and why one of them cannot run somewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib

import skneg

from .._utils import did_you_mean, literal
from ..errors import InputError

RECIPES = ("paper", "released")

# What a detector needs beside images: the parameter that gives it, and what to say without it.
NEEDS = {
    "outlier names": (
        "outlier_names",
        "needs names of things that may turn up, a name a line in outlier_names.txt in the data folder",
    ),
    'a "no" text tower': (
        "no_encoder",
        'needs the checkpoint of a "no" text tower: --set CLIPNDetector.no_encoder=FILE',
    ),
    "pixels and a caption model": (
        "candidate_labels",
        "needs a caption model, a Python function: skneg.benchmarks.run_benchmark(..., configure=...)",
    ),
}


@dataclass(frozen=True)
class DetectorSpec:
    """A row of the tables: a detector, or a recipe of one such as ``NegPromptDetector.paper``.

    Attributes
    ----------
    label : str
        As it was asked for.
    cls : type
    build : callable
        The class, or its classmethod.
    settings : dict
        The user's parameters.
    """

    label: str
    cls: Any
    build: Callable[..., Any]
    settings: Mapping[str, Any]

    @property
    def sees_pixels(self) -> bool:
        """Whether embeddings are not enough."""
        return self.cls.needs == "local features" or self.cls.needs.startswith("pixels")

    @property
    def depends_on_seed(self) -> bool:
        """Whether another seed changes its scores: not where only the threshold comes from images."""
        return "random_state" in self.cls._get_param_names()

    def reason(self, has_pixels: bool, parameters: Mapping[str, Any]) -> str | None:
        """Why it cannot run; None where it can."""
        if self.sees_pixels and not has_pixels:
            works = "looks at image patches" if self.cls.needs == "local features" else "works on pixels"
            return f"{works}, and these are embeddings of whole images"
        parameter, reason = NEEDS.get(self.cls.needs, ("", None))
        return None if parameters.get(parameter) is not None else reason


def find_detectors(
    names: Sequence[str] | None, settings: Mapping[str, Mapping[str, Any]]
) -> list[DetectorSpec]:
    """Detectors by name; None means all of the registry.

    Parameters
    ----------
    names : sequence of str or None
        Such as ``"MCMDetector"`` or ``"NegPromptDetector.paper"``.
    settings : dict of str to dict
        Parameters by detector, ``"*"`` for all; those of a recipe come over those of its detector.
    """
    known = [info.name for info in skneg.list_detectors()]
    for label in settings:
        if label != "*" and label.partition(".")[0] not in known:
            hint = did_you_mean(label, known)
            raise InputError(f"parameters are set for {label!r}, which is not a detector.{hint}")
    specs = []
    for label in known if names is None else dict.fromkeys(names):
        name, _, recipe = label.partition(".")
        if name not in known:
            raise InputError(f"there is no detector {label!r}.{did_you_mean(name, known)}")
        cls = getattr(skneg, name)
        had = [r for r in RECIPES if hasattr(cls, r)]
        if recipe and recipe not in had:
            raise InputError(f"there is no recipe {label!r}; {name} has {had or 'none'}.")
        merged = {**settings.get("*", {}), **settings.get(name, {}), **settings.get(label, {})}
        takes = cls._get_param_names()
        for parameter in merged:
            if parameter.partition("__")[0] not in takes:
                raise InputError(f"{name} has no parameter {parameter!r}.{did_you_mean(parameter, takes)}")
        specs.append(DetectorSpec(label, cls, getattr(cls, recipe) if recipe else cls, merged))
    return specs


def parse_settings(texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """``DETECTOR.parameter=value`` to parameters by detector; values are Python literals or plain text."""
    settings: dict[str, dict[str, Any]] = {}
    for text in texts:
        target, equals, value = text.partition("=")
        name, dot, parameter = target.rpartition(".")
        if not (equals and dot and parameter):
            raise InputError(f"--set {text!r} is not DETECTOR.parameter=value.")
        settings.setdefault(name, {})[parameter] = literal(value)
    return settings


def describe(value: Any) -> Any:
    """A parameter as JSON takes it: long lists by a hash, functions and files by their name."""
    if callable(value):
        return getattr(value, "__qualname__", type(value).__name__)
    if isinstance(value, Path):
        return value.name
    if isinstance(value, dict):
        return {str(key): describe(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        shown = [describe(item) for item in value]
        return shown if len(shown) <= 20 else f"{len(shown)} items, hash {joblib.hash(shown)[:8]}"
    if hasattr(value, "get_params"):
        return {type(value).__name__: describe(value.get_params(deep=False))}
    return value if isinstance(value, str | int | float | bool | None) else str(value)
