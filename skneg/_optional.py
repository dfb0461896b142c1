"""Packages that skneg can do without."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .errors import MissingDependencyError


def require(module: str, user: str, way_out: str = "pip install skneg[plot]") -> Any:
    """An optional package, or an error that says how to get it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f"{user} needs {module}, which is not installed: {way_out}") from error
