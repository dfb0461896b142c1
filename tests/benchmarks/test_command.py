import json
from pathlib import Path

import numpy as np
import pytest

from skneg.benchmarks import PROTOCOLS
from skneg.benchmarks.__main__ import main
from skneg.benchmarks._data import SETS, class_keys, class_order, distinct_names, load_class_names
from skneg.benchmarks._detectors import parse_settings
from skneg.errors import InputError

from .conftest import WNIDS


def test_list_names_every_protocol_and_what_it_needs(capsys):
    assert main(["--list"]) == 0
    shown = capsys.readouterr().out
    assert all(f"{name}:" in shown for name in PROTOCOLS)
    needed = {SETS[key].title for p in PROTOCOLS.values() for e in p.experiments for key in e.needs}
    assert all(title in shown for title in needed)


def test_the_documentation_names_every_protocol_and_every_folder():
    page = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text()
    assert [name for name in PROTOCOLS if f"`{name}`" not in page] == []
    named = {key: [*known.folders, *known.lists] for key, known in SETS.items()}
    lost = [key for key, places in named.items() if not any(p.rpartition("/")[2] in page for p in places)]
    assert lost == []


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
    header, *rows = map(json.loads, (tmp_path / "out" / "results.jsonl").read_text().splitlines())
    assert header["shots"] == 2
    assert rows[0]["parameters"]["templates"] == "a {}"
    assert "--set 'MCMDetector.templates=a {}'" in (tmp_path / "out" / "results.md").read_text()


def test_an_error_is_one_message_and_a_status(tmp_path, capsys):
    assert main(["imagenet-far", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "iNaturalist" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_settings_are_python_values_or_text():
    assert parse_settings(["A.n=4", "A.flag=True", "B.paper.text=a photo", "*.gamma=.5"]) == {
        "A": {"n": 4, "flag": True}, "B.paper": {"text": "a photo"}, "*": {"gamma": 0.5},
    }  # fmt: skip


@pytest.mark.parametrize("text", ["A.n", "n=4", "A.=4"])
def test_settings_that_say_nothing_are_refused(text):
    with pytest.raises(InputError, match="DETECTOR.parameter=value"):
        parse_settings([text])


def test_imagenet_names_are_open_clip_s_and_all_different(tmp_path):
    names = load_class_names(tmp_path, [f"n{i:08d}" for i in range(1000)])
    assert names[0] == "tench"
    assert len({name.casefold() for name in names}) == 1000


def test_a_name_that_comes_twice_gets_another_word():
    assert distinct_names(["crane", "tench", "crane"]) == ["crane", "tench", "construction crane"]
    assert distinct_names(["Cardigan", "cardigan"]) == ["Cardigan", "cardigan sweater"]


def test_class_names_that_lack_a_folder_are_refused(tmp_path):
    (tmp_path / "class_names.json").write_text(json.dumps({WNIDS[0]: "cat"}))
    with pytest.raises(InputError, match=f"lack 1 of 2 folders: .*{WNIDS[1]}"):
        load_class_names(tmp_path, WNIDS[:2])


def test_classes_stand_in_the_order_of_their_names_or_numbers():
    assert class_order(np.array(["umbrella", "key", "fish", "key"])) == ["fish", "key", "umbrella"]
    assert class_order(np.array(["10", "9", "0"])) == ["0", "9", "10"]
    assert class_order(np.array(["10", "9", "n0"])) == ["10", "9", "n0"]


def test_names_that_are_not_utf_8_are_refused(tmp_path):
    (tmp_path / "classnames.txt").write_bytes(f"{WNIDS[0]} caf\xe9".encode("latin-1"))
    with pytest.raises(InputError, match="classnames.txt.*UTF-8"):
        load_class_names(tmp_path, WNIDS[:1])


def test_labels_of_lists_are_positions_of_class_folders():
    assert class_keys(np.array(["1", "0"]), WNIDS).tolist() == [WNIDS[1], WNIDS[0]]
    assert class_keys(np.array([WNIDS[3]]), WNIDS).tolist() == [WNIDS[3]]
    with pytest.raises(InputError, match="label 12"):
        class_keys(np.array(["12"]), WNIDS)
