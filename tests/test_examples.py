"""The examples run as a user runs them."""

import logging
import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image

from skneg.datasets import make_scenes

FOLDER = Path(__file__).parents[1] / "examples"


@pytest.fixture
def run(monkeypatch, tmp_path):
    def call(name, *arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(FOLDER / name), run_name="__main__")

    return call


def test_the_demo(run, tmp_path):
    run("demo.py", "--seeds", 1, "--out", tmp_path / "out")
    assert (tmp_path / "out" / "scores.png").stat().st_size > 1000


def test_the_displays(run, tmp_path):
    run("displays.py")
    assert len(list(tmp_path.rglob("*.png"))) >= 4


def test_photographs_in_folders(run, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    for folder, shapes in (("known", ["star", "heart"]), ("other", ["fish"])):
        for shape in shapes:
            place = tmp_path / folder / shape
            place.mkdir(parents=True)
            for number, pixels in enumerate(make_scenes(30, shapes=[shape], random_state=1)[0]):
                Image.fromarray(pixels).save(place / f"{number}.png")
    known, other = tmp_path / "known", tmp_path / "other"
    run("photos.py", known, "--ood", other, "--model", "skneg-tiny", "--train", 20, "--seeds", 1)
    assert "zero-shot MCM" in caplog.text
    assert "NegPrompt" in caplog.text
