"""The outlines `make_scenes` draws: each shape is a few polygons in about the square [-1, 1]^2, y up."""

from __future__ import annotations

import numpy as np

# One part of a shape: its vertices (n, 2) and whether it is filled (True) or cut out (False).
Part = tuple[np.ndarray, bool]


def _polygon(*points: tuple[float, float]) -> np.ndarray:
    return np.array(points, dtype=np.float64)


def _arc(
    start: float,
    stop: float,
    radius: float | tuple[float, float] = 1.0,
    centre: tuple[float, float] = (0.0, 0.0),
    n: int = 32,
) -> np.ndarray:
    """Points of an elliptic arc; angles in degrees, counter-clockwise from +x."""
    angle = np.deg2rad(np.linspace(start, stop, n))
    rx, ry = radius if isinstance(radius, tuple) else (radius, radius)
    return np.stack([centre[0] + rx * np.cos(angle), centre[1] + ry * np.sin(angle)], axis=1)


def _regular(n: int) -> np.ndarray:
    angle = np.pi / 2 + 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _polar(radius_of_angle, n: int = 96) -> np.ndarray:
    angle = 2 * np.pi * np.arange(n) / n
    radius = radius_of_angle(angle)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _box(left: float, bottom: float, right: float, top: float) -> np.ndarray:
    return _polygon((left, bottom), (right, bottom), (right, top), (left, top))


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 64)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([x / 16, (y + 2) / 16], axis=1)


def _spiral() -> np.ndarray:
    angle = np.linspace(0, 4.5 * np.pi, 90)
    radius = 0.12 + 0.78 * angle / angle[-1]
    outer, inner = radius + 0.1, radius - 0.1
    ring = [np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1) for r in (outer, inner)]
    return np.concatenate([ring[0], ring[1][::-1]])


def _star(n: int, inner: float) -> np.ndarray:
    points = _regular(2 * n)
    points[1::2] *= inner
    return points


SHAPES: dict[str, tuple[Part, ...]] = {
    "anchor": (
        (_box(-0.12, -0.85, 0.12, 0.6), True),
        (_arc(0, 360, 0.3, (0, 0.7)), True),
        (_arc(0, 360, 0.13, (0, 0.7)), False),
        (_box(-0.5, 0.15, 0.5, 0.35), True),
        (np.concatenate([_arc(180, 360, 0.9, (0, -0.1)), _arc(360, 180, 0.62, (0, -0.1))]), True),
    ),
    "arrow": (
        (
            _polygon((-1, 0.25), (0.1, 0.25), (0.1, 0.7), (1, 0), (0.1, -0.7), (0.1, -0.25), (-1, -0.25)),
            True,
        ),
    ),
    "bottle": (
        (_box(-0.45, -1, 0.45, 0.2), True),
        (_polygon((-0.45, 0.2), (0.45, 0.2), (0.18, 0.55), (-0.18, 0.55)), True),
        (_box(-0.18, 0.5, 0.18, 1), True),
    ),
    "bow tie": ((_polygon((-1, 0.6), (0, 0.12), (1, 0.6), (1, -0.6), (0, -0.12), (-1, -0.6)), True),),
    "butterfly": (
        (_arc(0, 360, (0.5, 0.45), (-0.5, 0.45)), True),
        (_arc(0, 360, (0.5, 0.45), (0.5, 0.45)), True),
        (_arc(0, 360, (0.35, 0.38), (-0.42, -0.45)), True),
        (_arc(0, 360, (0.35, 0.38), (0.42, -0.45)), True),
        (_box(-0.1, -0.7, 0.1, 0.8), True),
    ),
    "circle": ((_arc(0, 360), True),),
    "cloud": (
        (_arc(0, 360, 0.42, (-0.55, -0.1)), True),
        (_arc(0, 360, 0.55, (0, 0.2)), True),
        (_arc(0, 360, 0.42, (0.55, -0.1)), True),
        (_box(-0.6, -0.52, 0.6, 0), True),
    ),
    "crescent": ((_arc(0, 360), True), (_arc(0, 360, 0.85, (0.45, 0)), False)),
    "cross": ((_box(-0.33, -1, 0.33, 1), True), (_box(-1, -0.33, 1, 0.33), True)),
    "crown": (
        (
            _polygon((-1, -0.7), (1, -0.7), (1, 0.7), (0.5, 0), (0, 0.8), (-0.5, 0), (-1, 0.7)),
            True,
        ),
    ),
    "diamond": ((_polygon((0, 1), (0.6, 0), (0, -1), (-0.6, 0)), True),),
    "fish": (
        (_arc(0, 360, (0.7, 0.48), (0.2, 0)), True),
        (_polygon((-0.35, 0), (-1, 0.55), (-1, -0.55)), True),
        (_arc(0, 360, 0.1, (0.55, 0.12)), False),
    ),
    "flower": ((_polar(lambda a: 0.68 + 0.32 * np.cos(5 * a)), True), (_arc(0, 360, 0.2), False)),
    "gear": (
        (_polar(lambda a: np.where(np.sin(8 * a) > 0, 1.0, 0.76), 192), True),
        (_arc(0, 360, 0.3), False),
    ),
    "heart": ((_heart(), True),),
    "hexagon": ((_regular(6), True),),
    "hourglass": ((_polygon((-0.7, 1), (0.7, 1), (0.1, 0), (0.7, -1), (-0.7, -1), (-0.1, 0)), True),),
    "house": (
        (_box(-0.7, -0.9, 0.7, 0.2), True),
        (_polygon((-1, 0.2), (1, 0.2), (0, 1)), True),
        (_box(-0.18, -0.9, 0.18, -0.3), False),
    ),
    "key": (
        (_arc(0, 360, 0.42, (-0.55, 0)), True),
        (_arc(0, 360, 0.18, (-0.55, 0)), False),
        (_box(-0.2, -0.12, 1, 0.12), True),
        (_box(0.5, -0.45, 0.66, 0), True),
        (_box(0.82, -0.4, 0.98, 0), True),
    ),
    "ladder": (
        (_box(-0.6, -1, -0.38, 1), True),
        (_box(0.38, -1, 0.6, 1), True),
        *((_box(-0.5, y - 0.09, 0.5, y + 0.09), True) for y in (-0.7, -0.23, 0.23, 0.7)),
    ),
    "leaf": (
        (np.concatenate([_arc(-50, 50, 1.15, (-0.72, 0.1)), _arc(130, 230, 1.15, (0.72, 0.1))]), True),
        (_box(-0.05, -1.1, 0.05, -0.5), True),
    ),
    "lightning bolt": (
        (
            _polygon((0.15, 1), (-0.6, -0.1), (-0.1, -0.1), (-0.3, -1), (0.6, 0.25), (0.1, 0.25), (0.5, 1)),
            True,
        ),
    ),
    "mushroom": (
        (_arc(0, 180, (0.95, 0.85), (0, 0)), True),
        (_box(-0.25, -0.9, 0.25, 0.05), True),
    ),
    "octagon": ((_regular(8), True),),
    "oval": ((_arc(0, 360, (1.0, 0.58)), True),),
    "pentagon": ((_regular(5), True),),
    "rectangle": ((_box(-1, -0.5, 1, 0.5), True),),
    "ring": ((_arc(0, 360), True), (_arc(0, 360, 0.55), False)),
    "sailboat": (
        (_polygon((-0.9, -0.5), (0.9, -0.5), (0.55, -0.95), (-0.55, -0.95)), True),
        (_polygon((0.05, -0.4), (0.05, 1), (0.8, -0.4)), True),
        (_polygon((-0.1, -0.4), (-0.1, 0.75), (-0.7, -0.4)), True),
    ),
    "semicircle": ((_arc(0, 180, 1.0, (0, -0.4)), True),),
    "spiral": ((_spiral(), True),),
    "square": ((_box(-0.8, -0.8, 0.8, 0.8), True),),
    "star": ((_star(5, 0.42), True),),
    "teardrop": ((np.concatenate([_arc(-205, 25, 0.62, (0, -0.35)), _polygon((0, 1))]), True),),
    "tree": (
        (_polygon((-0.75, -0.5), (0.75, -0.5), (0, 0.3)), True),
        (_polygon((-0.6, 0), (0.6, 0), (0, 1)), True),
        (_box(-0.15, -1, 0.15, -0.5), True),
    ),
    "trapezoid": ((_polygon((-1, -0.6), (1, -0.6), (0.5, 0.6), (-0.5, 0.6)), True),),
    "triangle": ((_regular(3), True),),
    "umbrella": (
        (_arc(0, 180, (1.0, 0.8), (0, 0.1)), True),
        (_box(-0.07, -0.75, 0.07, 0.2), True),
        (np.concatenate([_arc(180, 360, 0.3, (0.23, -0.75)), _arc(360, 180, 0.16, (0.23, -0.75))]), True),
    ),
}
