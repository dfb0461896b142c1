"""The outlines that scenes are drawn with."""

import itertools

import numpy as np
import pytest
from PIL import Image, ImageDraw

from skneg.datasets._shapes import SHAPES

SIDE = 200  # pixels of the square [-1.25, 1.25]^2


def drawn(shape) -> np.ndarray:
    """The shape upright, as truth values of pixels."""
    canvas = Image.new("1", (SIDE, SIDE))
    for points, filled in SHAPES[shape]:
        pixels = (points * (1, -1) / 1.25 + 1) / 2 * SIDE
        ImageDraw.Draw(canvas).polygon(pixels.ravel().tolist(), fill=int(filled))
    return np.asarray(canvas)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_fills_its_square_and_hardly_leaves_it(shape):
    points = np.concatenate([points for points, filled in SHAPES[shape] if filled])
    assert np.abs(points).max() <= 1.1  # a stem or a handle may stick out
    assert np.ptp(points, axis=0).max() >= 1.2
    assert np.abs(points.max(axis=0) + points.min(axis=0)).max() / 2 <= 0.3


@pytest.mark.parametrize("shape", SHAPES)
def test_a_cut_has_something_to_cut_from(shape):
    assert SHAPES[shape][0][1]  # parts are drawn in their order
    assert all(points.ndim == 2 and len(points) >= 3 and points.shape[1] == 2 for points, _ in SHAPES[shape])


def test_no_two_shapes_look_alike():
    masks = {shape: drawn(shape) for shape in SHAPES}
    for one, other in itertools.combinations(SHAPES, 2):
        both, either = masks[one] & masks[other], masks[one] | masks[other]
        assert both.sum() / either.sum() < 0.97, f"{one} and {other}"


@pytest.mark.parametrize(
    ("shape", "area"),
    [("circle", np.pi), ("ring", np.pi * (1 - 0.55**2)), ("square", 1.6**2), ("oval", 0.58 * np.pi)],
)
def test_areas_are_those_of_geometry(shape, area):
    assert drawn(shape).mean() * 2.5**2 == pytest.approx(area, rel=0.05)
