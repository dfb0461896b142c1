"""Histograms as lines of a picture."""

from types import SimpleNamespace

import numpy as np

from skneg.report._histogram import BOTTOM, HEIGHT, LEFT, WIDTH, histogram


def state(offset=0.0, scores=(0.0, 1.0)):
    return SimpleNamespace(offset_=offset, calibrator=SimpleNamespace(scores=np.array(scores)))


def corners(line):
    return np.array([pair.split() for pair in line["path"][1:].split(" L")], dtype=float)


def test_lines_have_the_height_of_their_share():
    made = histogram({"ID": np.array([1.0] * 3 + [2.0]), "far": np.array([-5.0])}, state())
    one, far, calibration = made["lines"]
    assert [line["n"] for line in made["lines"]] == [4, 1, 2]
    assert calibration["name"] == "set the threshold"
    base, top = HEIGHT - BOTTOM, corners(far)[:, 1].min()
    assert top == 16  # 100 %
    np.testing.assert_allclose(corners(one)[:, 1].min(), base - 0.75 * (base - top))
    for line in made["lines"]:
        assert corners(line)[[0, -1], 1].tolist() == [base, base]


def test_all_lies_in_the_picture_with_infinite_scores_too():
    made = histogram({"ID": np.array([np.inf, 0.0, -np.inf])}, state(offset=-3.0))
    points = corners(made["lines"][0])
    assert points.min() >= 0
    assert points[:, 0].max() <= WIDTH
    assert LEFT <= float(made["threshold"]) <= WIDTH


def test_scores_that_are_all_the_same_are_drawn():
    made = histogram({"ID": np.ones(3)}, state(1.0, [1.0, 1.0]))
    assert np.isfinite(corners(made["lines"][0])).all()


def test_ticks_are_round_numbers_inside():
    ticks = histogram({"ID": np.array([-12.4, 3.92])}, state())["x_ticks"]
    assert [text for _, text in ticks] == ["-10", "-5", "0"]
