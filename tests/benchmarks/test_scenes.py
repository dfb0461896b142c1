"""The protocol of the shipped model."""

import pytest

from .conftest import by_cell, reasons


def test_scenes(run):
    cells = by_cell(run("scenes", data=None, model=None, detectors=["MCMDetector"], seeds=3))
    assert {cell[2:] for cell in cells} == {("near", 0), ("far", 0)}
    assert cells["scenes", "MCMDetector", "near", 0]["auroc"] == pytest.approx(93.47, abs=0.3)


@pytest.mark.slow
def test_scenes_with_every_detector(run):
    result = run("scenes", data=None, model=None, detectors=None)
    assert not reasons(result)
