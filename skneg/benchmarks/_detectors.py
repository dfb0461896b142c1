"""Detectors by name with their parameters, and why one of them cannot run somewhere."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import skneg

from .._utils import did_you_mean
from ..errors import InputError

RECIPES = ("paper", "released")

# What a detector needs beside images, by its parameter: without it there is nothing to run.
REASONS = {
    "outlier_names": (
        "needs names of things that may turn up: write outlier_names.txt, a name a line, into the data folder"
    ),
    "no_encoder": 'needs the checkpoint of a "no" text tower: --set CLIPNDetector.no_encoder=FILE',
    "candidate_labels": (
        "needs a caption model, a Python function: skneg.benchmarks.run_benchmark(..., configure=...)"
    ),
    "local features": "looks at image patches, and these are embeddings of whole images",
    "pixels": "works on pixels, and these are embeddings",
}
_PARAMETER_OF = {
    "outlier names": "outlier_names",
    'a "no" text tower': "no_encoder",
    "pixels and a caption model": "candidate_labels",
}


@dataclass(frozen=True)
class DetectorSpec:
    """A row of the tables: a detector, or a recipe of one such as ``NegPromptDetector.paper``.

    Attributes
    ----------
    label : str
        As it was asked for.
    info : DetectorInfo
    build : callable
        The class, or its classmethod.
    settings : dict
        The user's parameters.
    """

    label: str
    info: skneg.detectors.DetectorInfo
    build: Callable[..., Any]
    settings: Mapping[str, Any]

    @property
    def sees_pixels(self) -> bool:
        """Whether embeddings are not enough."""
        return self.info.needs == "local features" or self.info.needs.startswith("pixels")

    @property
    def depends_on_seed(self) -> bool:
        """Whether another seed changes its scores: not where only the threshold comes from images."""
        return "random_state" in self.parameter_names

    @property
    def parameter_names(self) -> list[str]:
        """The constructor parameters of its class."""
        return getattr(skneg, self.info.name)._get_param_names()

    def reason(self, has_pixels: bool, parameters: Mapping[str, Any]) -> str | None:
        """Why it cannot run; None where it can."""
        if self.sees_pixels and not has_pixels:
            return REASONS["local features" if self.info.needs == "local features" else "pixels"]
        parameter = _PARAMETER_OF.get(self.info.needs)
        if parameter is not None and parameters.get(parameter) is None:
            return REASONS[parameter]
        return None


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
    infos = {info.name: info for info in skneg.list_detectors()}
    labels = list(infos) if names is None else list(dict.fromkeys(names))
    for name in settings:
        if name != "*" and name.partition(".")[0] not in infos:
            raise InputError(
                f"parameters are set for {name!r}, which is no detector.{did_you_mean(name, infos)}"
            )
    specs = []
    for label in labels:
        name, _, recipe = label.partition(".")
        if name not in infos:
            raise InputError(f"there is no detector {label!r}.{did_you_mean(name, infos)}")
        build = getattr(skneg, name)
        if recipe:
            if recipe not in RECIPES or not hasattr(build, recipe):
                had = [f"{name}.{r}" for r in RECIPES if hasattr(build, r)]
                raise InputError(f"there is no recipe {label!r}; {name} has {had or 'none'}.")
            build = getattr(build, recipe)
        merged = {**settings.get("*", {}), **settings.get(name, {}), **settings.get(label, {})}
        takes = getattr(skneg, name)._get_param_names()
        for parameter in merged:
            if parameter.partition("__")[0] not in takes:
                raise InputError(f"{name} has no parameter {parameter!r}.{did_you_mean(parameter, takes)}")
        specs.append(DetectorSpec(label, infos[name], build, merged))
    return specs


def parse_settings(texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """``DETECTOR.parameter=value`` to parameters by detector; values are Python literals or plain text."""
    settings: dict[str, dict[str, Any]] = {}
    for text in texts:
        target, equals, value = text.partition("=")
        name, dot, parameter = target.rpartition(".")
        if not (equals and dot and parameter):
            raise InputError(f"--set {text!r} is not DETECTOR.parameter=value.")
        try:
            parsed = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            parsed = value
        settings.setdefault(name, {})[parameter] = parsed
    return settings
