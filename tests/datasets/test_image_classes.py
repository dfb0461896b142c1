"""Order and names of classes, labels of lists, hard splits."""

import json

import numpy as np
import pytest

from skneg.datasets._image_classes import (
    class_keys,
    class_order,
    distinct_names,
    load_class_names,
    load_split,
)
from skneg.errors import InputError

WNIDS = [f"n{10000000 + i}" for i in range(12)]


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


def test_labels_that_are_too_long_for_numbers_are_names():
    labels = np.array(["1", "9" * 5000])
    assert class_order(labels) == sorted(labels)
    assert class_keys(labels, WNIDS).tolist() == labels.tolist()


@pytest.mark.parametrize("part", ["id", "ood", "open_vocab_first10pct"])
@pytest.mark.parametrize("value", [5, "cat", [["a"]], {"a": 1}, [1]])
def test_a_split_of_other_kinds_is_refused(part, value, tmp_path):
    split = {"id": ["a", "b", "c"], "ood": ["d"], "open_vocab_first10pct": ["a"], part: value}
    (tmp_path / "splits_wnids.json").write_text(json.dumps({"split1": split}))
    with pytest.raises(InputError, match="split1 has not"):
        load_split(tmp_path, "Split-1")
