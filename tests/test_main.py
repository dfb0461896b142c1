"""The command line as a user meets it, in processes of its own."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import skneg
from skneg.__main__ import _HOMES, _parser, main
from skneg.datasets import make_scenes

from .backbone.test_timm import saved


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "skneg", *map(str, arguments)], capture_output=True, text=True, **options
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Folders of images and a detector of them."""
    root = tmp_path_factory.mktemp("place")
    X, y = make_scenes(80, shapes=["star", "heart", "tree", "key"], random_state=0)
    for i, (pixels, label) in enumerate(zip(X, y, strict=True)):
        (root / "animals" / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / "animals" / label / f"{i}.png")
    (root / "new").mkdir()
    for i, pixels in enumerate(make_scenes(8, shapes=["star", "umbrella"], random_state=1)[0]):
        Image.fromarray(pixels).save(root / "new" / f"{i}.png")
    done = run(
        "fit", root / "animals", "-o", root / "a.skneg", "--detector", "MCMDetector", "--model", "skneg-tiny"
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert "80 images set the threshold" in done.stderr
    return root


def test_answers_are_those_of_the_detector(place):
    done = run("predict", place / "a.skneg", place / "new")
    assert done.returncode == 0
    rows = list(csv.DictReader(done.stdout.splitlines()))
    paths = sorted((place / "new").iterdir())
    assert [row["path"] for row in rows] == list(map(str, paths))
    detector = skneg.load(place / "a.skneg")
    assert [row["answer"] for row in rows] == detector.predict(paths).tolist()
    np.testing.assert_allclose(
        [float(row["decision"]) for row in rows], detector.decision_function(paths), atol=1e-6
    )


def test_paths_come_by_standard_input_and_go_to_files(place, tmp_path):
    paths = sorted((place / "new").iterdir())
    done = run(
        "predict",
        place / "a.skneg",
        "-",
        "--json",
        tmp_path / "o",
        "--batch-size",
        3,
        input="\n".join(map(str, paths)),
    )
    assert (done.returncode, done.stdout) == (0, "")
    rows = [json.loads(line) for line in (tmp_path / "o").read_text().splitlines()]
    assert [row["path"] for row in rows] == list(map(str, paths))
    done = run("explain", place / "a.skneg", paths[0], "--csv", tmp_path / "e.csv")
    (row,) = csv.DictReader((tmp_path / "e.csv").read_text().splitlines())
    assert {"answer", "second_class", "nearest_cosine"} <= set(row)


def test_bad_files_are_skipped_by_name_or_stop_it(place, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"<html>")
    good = sorted((place / "new").iterdir())[0]
    done = run("predict", place / "a.skneg", tmp_path / "bad.png", good)
    assert done.returncode == 1
    assert done.stderr.startswith("skneg: image 0")
    assert "Traceback" not in done.stderr
    assert "Traceback" in run("predict", place / "a.skneg", tmp_path / "bad.png", "--debug").stderr
    done = run("predict", place / "a.skneg", tmp_path / "bad.png", good, "--on-error", "skip")
    assert done.returncode == 0
    assert "skipped: image 0" in done.stderr
    assert len(done.stdout.splitlines()) == 2


def test_a_reader_that_has_enough_ends_it_quietly(place):
    command = [
        sys.executable,
        "-m",
        "skneg",
        "predict",
        str(place / "a.skneg"),
        str(place / "new"),
        "--batch-size",
        "1",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr.read() == ""


def test_info_answers_at_once_without_scikit_learn(place):
    code = (
        "import sys; from skneg.__main__ import main; rc = main(sys.argv[1:]);"
        "heavy = {'torch', 'sklearn', 'scipy'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else rc)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "info", place / "a.skneg"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "classes       4 (heart, key, star, tree)" in done.stdout
    assert json.loads(run("info", place / "a.skneg", "--json").stdout)["detector"]["class"] == "MCMDetector"


def test_a_threshold_from_other_images(place, tmp_path, capsys):
    arguments = [
        "calibrate",
        place / "a.skneg",
        place / "animals",
        "-o",
        tmp_path / "b.skneg",
        "--contamination",
        "0.2",
    ]
    assert main(list(map(str, arguments))) == 0
    assert "about 20% of new images" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["info", "nothing.skneg"], "nothing.skneg"),
        (["fit", "nowhere", "-o", "x"], "does not exist"),
        (["fit", ".", "-o", "x", "--detector", "MCMDetecter"], "Did you mean 'MCMDetector'"),
        (["fit", ".", "-o", "x", "--detector", "ScoreEnsemble"], "no detector 'ScoreEnsemble'"),
        (["fit", ".", "-o", "x", "--set", "seed"], "not PARAMETER=VALUE"),
    ],
)
def test_errors_are_one_line_and_status_1(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    assert message in capsys.readouterr().err


def test_wrong_usage_is_status_2(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["predict"])
    assert ended.value.code == 2


@pytest.mark.parametrize("command", [*_HOMES, "benchmark"])
def test_each_command_helps(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert command == "benchmark" or f"Example: skneg {command}" in told


def test_a_broken_terminal_ends_with_130(place, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("skneg._commands._info.read_header", stopped)
    assert main(["info", str(place / "a.skneg")]) == 130
    assert _parser().prog == "skneg"


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"skneg {skneg.__version__}\n"


def test_warnings_are_lines_without_places_in_the_code(place, tmp_path):
    few = tmp_path / "few"
    for number, path in enumerate(sorted((place / "animals").rglob("*.png"))[::16]):
        (few / path.parent.name).mkdir(parents=True, exist_ok=True)
        (few / path.parent.name / f"{number}.png").write_bytes(path.read_bytes())
    done = run("fit", few, "-o", tmp_path / "b.skneg", "--detector", "MCMDetector", "--model", "skneg-tiny")
    assert done.returncode == 0
    assert "skneg: the threshold comes from 5 images, too few" in done.stderr
    assert "Warning" not in done.stderr


def test_a_model_of_timm_goes_through_the_command_line(place, tmp_path):
    model = f"timm:local-dir:{saved(tmp_path / 'model')}"
    for name in (model, f"skneg-tiny+{model}"):
        out = tmp_path / "t.skneg"
        given = ["--detector", "KNNDetector", "--model", name]
        assert main(["fit", str(place / "animals"), "-o", str(out), *given]) == 0
        assert main(["predict", str(out), str(place / "new"), "--csv", str(tmp_path / "o.csv")]) == 0
        rows = list(csv.DictReader((tmp_path / "o.csv").read_text().splitlines()))
        detector = skneg.load(out)
        assert detector.backbone_ == name
        assert [row["answer"] for row in rows] == detector.predict(sorted((place / "new").iterdir())).tolist()
