"""How models are named; without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .._files import with_home

TIMM = "timm:"  # before the names of timm's models, where open_clip's stand as well


def names_of_pair(model: Any) -> tuple[str, str] | None:
    """The two models of ``<model>+timm:<model>``; None of a single one, and of what is no name."""
    if not isinstance(model, str):
        return None
    first, is_pair, second = model.partition(f"+{TIMM}")
    return (first, TIMM + second) if is_pair else None


def absolute(model: str) -> str:
    """The name of a model; of a folder (``local-dir:``, ``timm:local-dir:``) the same from everywhere."""
    head, is_folder, folder = model.partition("local-dir:")
    return f"{head}local-dir:{Path(with_home(folder)).absolute()}" if is_folder else model
