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
    assert len(list(tmp_path.rglob("*.png"))) >= 6


def draw(place, shape, n=30):
    place.mkdir(parents=True)
    for number, pixels in enumerate(make_scenes(n, shapes=[shape], random_state=1)[0]):
        Image.fromarray(pixels).save(place / f"{number}.png")


def test_photographs_in_folders(run, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    for folder, shapes in (("known", ["star", "heart"]), ("other", ["fish"])):
        for shape in shapes:
            draw(tmp_path / folder / shape, shape)
    known, other = tmp_path / "known", tmp_path / "other"
    run("photos.py", known, "--ood", other, "--model", "skneg-tiny", "--train", 20, "--seeds", 1)
    assert "zero-shot MCM" in caplog.text
    assert "NegPrompt" in caplog.text


class TestOneClass:
    @pytest.fixture
    def good(self, tmp_path, caplog):
        caplog.set_level(logging.INFO)
        draw(tmp_path / "good", "star", 45)
        return tmp_path / "good"

    def test_good_images_alone(self, run, good, caplog):
        run("one_class.py", good, "--model", "skneg-tiny", "--train", 20, "--worst", 3)
        assert "of 25 good images" in caplog.text
        assert caplog.text.count(".png") == 3
        assert "AUROC" not in caplog.text

    def test_good_and_bad_images(self, run, good, tmp_path, caplog):
        draw(tmp_path / "bad", "fish")
        run("one_class.py", good, "--bad", tmp_path / "bad", "--model", "skneg-tiny", "--train", 20)
        assert "of 30 bad images" in caplog.text
        assert float(caplog.text.split("AUROC ")[1].split()[0]) > 90

    def test_further_good_images_set_the_threshold(self, run, good, caplog):
        run("one_class.py", good, "--model", "skneg-tiny", "--train", 20, "--calibrate", 20)
        assert "of 5 good images" in caplog.text

    def test_bad_images_among_the_good_are_refused(self, run, good, capsys):
        draw(good / "bad", "fish")
        with pytest.raises(SystemExit):
            run("one_class.py", good, "--bad", good / "bad", "--model", "skneg-tiny")
        assert "30 images, such as" in capsys.readouterr().err

    def test_too_few_images_are_refused(self, run, good, capsys):
        with pytest.raises(SystemExit):
            run("one_class.py", good, "--model", "skneg-tiny", "--train", 45)
        assert "good has 45 images" in capsys.readouterr().err
