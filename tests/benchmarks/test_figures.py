"""Figures 3 and 4 of the paper."""

import pytest


def test_figures_are_drawn_for_negprompt(run):
    pytest.importorskip("matplotlib")
    names = [file.name for file in run(detectors=["NegPromptDetector"], figures=True).figures]
    assert names == [
        "imagenet-1k-negpromptdetector-map.png", "imagenet-1k-negpromptdetector-similarity.png"
    ]  # fmt: skip
