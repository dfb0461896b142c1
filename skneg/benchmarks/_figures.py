"""Figures 3 and 4 of the paper, for the detector that was just fitted."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

_log = logging.getLogger(__name__)


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def draw_figures(
    detector: Any, known: np.ndarray, unknown: dict[str, np.ndarray], folder: Path, stem: str
) -> None:
    """Write ``<stem>-similarity.png`` (Fig. 3) and ``<stem>-map.png`` (Fig. 4), given matplotlib."""
    if not can_draw():
        _log.warning("matplotlib is not installed, so figures are left out: pip install 'skneg[plot]'")
        return
    from matplotlib.figure import Figure

    from ..plotting import EmbeddingMapDisplay, SimilarityDisplay

    for name, display, options in (
        ("similarity", SimilarityDisplay, {}),
        ("map", EmbeddingMapDisplay, {"random_state": 0}),
    ):
        # Not pyplot: its figures would pile up, and its back end may want a screen.
        figure = Figure(figsize=(7, 5), layout="constrained")
        display.from_estimator(detector, known, ood=unknown, ax=figure.add_subplot(), **options)
        figure.savefig(folder / f"{_file_name(stem)}-{name}.png", dpi=150)


def _file_name(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-." else "-" for c in text).replace("--", "-").lower()
