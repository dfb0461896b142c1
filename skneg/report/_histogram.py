"""Histograms as lines of an SVG picture, which takes its colours from the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

WIDTH, HEIGHT, BOTTOM, LEFT = 720, 260, 28, 44
_BINS, _TICKS = 40, 6
CALIBRATION = "set the threshold"


def histogram(scores: Mapping[str, np.ndarray], state: Any) -> dict[str, Any]:
    """Lines of the sets, of the images that have set the threshold, and of the threshold itself."""
    sets = [*scores.items(), (CALIBRATION, state.calibrator.scores)]
    pooled = np.concatenate([*(values for _, values in sets), [state.offset_]])
    finite = pooled[np.abs(pooled) < np.finfo(np.float64).max]
    low, high = float(finite.min()), float(finite.max())
    if high - low < 1e-9 * max(abs(low), abs(high), 1):  # too near to each other to tell bins apart
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, _BINS + 1)
    shares = [100 * np.histogram(np.clip(values, low, high), edges)[0] / len(values) for _, values in sets]
    top = max(share.max() for share in shares)

    def across(value: float) -> float:
        return LEFT + (WIDTH - LEFT - 8) * (value - edges[0]) / (edges[-1] - edges[0])

    def up(share: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - 16) * share / top

    def line(share: np.ndarray) -> str:
        heights, places = np.repeat([0, *share, 0], 2)[1:-1], np.repeat(edges, 2)
        corners = zip(places, heights, strict=True)
        return "M" + " L".join(f"{across(x):.1f} {up(y):.1f}" for x, y in corners)

    lines = [
        {"name": name, "path": line(share), "n": len(values)}
        for (name, values), share in zip(sets, shares, strict=True)
    ]
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "base": HEIGHT - BOTTOM,
        "left": LEFT,
        "lines": lines,
        "threshold": f"{across(state.offset_):.1f}",
        "x_ticks": [(f"{across(x):.1f}", f"{x:g}") for x in _round_numbers(low, high, _TICKS)],
        "y_ticks": [(f"{up(y):.1f}", f"{y:g}") for y in _round_numbers(0, top, 4)],
    }


def _round_numbers(low: float, high: float, n: int) -> np.ndarray:
    """About n numbers between two, a round one apart."""
    size = 10.0 ** np.floor(np.log10((high - low) / n))
    step = next(step for step in size * np.array([1, 2, 2.5, 5, 10]) if step >= (high - low) / n)
    return np.round(np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step, 12)
