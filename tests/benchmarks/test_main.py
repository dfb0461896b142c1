"""The command line."""

import json

from skneg.benchmarks import PROTOCOLS
from skneg.benchmarks.__main__ import main
from skneg.datasets._image_sets import SETS


def test_list_names_every_protocol_and_what_it_needs(capsys):
    assert main(["--list"]) == 0
    shown = capsys.readouterr().out
    assert all(f"{name}:" in shown for name in PROTOCOLS)
    needed = {
        SETS[key].title for p in PROTOCOLS.values() for e in p.experiments for key in e.needs if key in SETS
    }
    assert all(title in shown for title in needed)


def test_a_run_prints_its_table(imagenet, tmp_path, capsys):
    command = [
        "id-accuracy",
        "--data",
        str(imagenet),
        "--out",
        str(tmp_path / "out"),
        "--model",
        "skneg-tiny",
    ]
    command += ["--detectors", "MCMDetector", "--shots", "2", "--set", "MCMDetector.templates=a {}"]
    assert main(command) == 0
    assert "| MCMDetector | 1 |" in capsys.readouterr().out
    rows = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert rows[0]["shots"] == 2
    assert rows[0]["parameters"]["templates"] == "a {}"
    assert "--set 'MCMDetector.templates=a {}'" in (tmp_path / "out" / "results.md").read_text()


def test_an_error_is_one_message_and_a_status(tmp_path, capsys):
    assert main(["imagenet-far", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "iNaturalist" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
