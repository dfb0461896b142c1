"""Order and names of classes, labels of lists, hard splits."""

import json

import numpy as np
import pytest

from skneg.datasets._image_classes import (
    class_keys,
    class_list,
    class_order,
    distinct_names,
    load_class_names,
    load_split,
    needed_file,
)
from skneg.errors import InputError

WNIDS = [f"n{10000000 + i}" for i in range(12)]


@pytest.mark.parametrize("keys", [class_list("imagenet1k"), [str(i) for i in range(1000)]])
def test_imagenet_names_are_open_clip_s_and_all_different(keys, tmp_path):
    names = load_class_names(tmp_path, keys)
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


def test_the_class_lists_are_in_the_order_of_their_labels():
    lists = {name: class_list(name) for name in ("imagenet1k", "imagenet200", "cifar10", "cifar100")}
    assert {name: len(set(classes)) for name, classes in lists.items()} == {
        "imagenet1k": 1000, "imagenet200": 200, "cifar10": 10, "cifar100": 100
    }  # fmt: skip
    assert all(list(classes) == sorted(classes) for classes in lists.values())
    assert set(lists["imagenet200"]) < set(lists["imagenet1k"])
    assert lists["imagenet1k"][0] == "n01440764"
    assert lists["imagenet200"][0] == "n01443537"


def test_a_part_of_imagenet_has_the_names_of_its_ids(tmp_path):
    assert load_class_names(tmp_path, ["n01443537", "n01440764"]) == ["goldfish", "tench"]
    assert load_class_names(tmp_path, class_list("cifar100"))[1] == "aquarium fish"
    with pytest.raises(InputError, match=r"such as 'n10000000', and no class_names\.json"):
        load_class_names(tmp_path, ["n01440764", "n10000000"])


SPLIT = "val/n1/a.JPEG,0\nval/n2/b.JPEG,1\nval/n2/c.JPEG,1\nval/n3/d.JPEG,-1\nval/n4/e.JPEG,-2\n"


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("place", ["p2_test.csv", "protocols/p2_test.csv"])
def test_a_split_is_read_from_the_lists_of_its_authors(place, ending, tmp_path):
    (tmp_path / "protocols").mkdir()
    (tmp_path / place).write_bytes(("\ufeff" + SPLIT.replace("\n", ending)).encode())
    assert load_split(tmp_path, "Split-2") == (["n1", "n2"], ["n4"], ["n1", "n2"])
    assert needed_file(tmp_path, "Split-2") == []
    assert needed_file(tmp_path, "Split-1") == ["splits_wnids.json"]
    with pytest.raises(InputError, match=r"no splits_wnids\.json"):
        load_split(tmp_path, "Split-1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SPLIT + "val/n1/f.JPEG,-2\n", r"both known and unknown: \['n1'\]"),
        (SPLIT + "n1\n", "line 6: .*is not"),
        (SPLIT + "val/n1/f.JPEG,dog\n", "line 6: .*is not"),
        (SPLIT + "val/n1/f.JPEG,--1\n", "line 6: .*is not"),
        (SPLIT + f"val/n1/f.JPEG,{'9' * 5000}\n", "line 6: .*is not"),
        (SPLIT.replace("-2", "-1"), "no unknown class"),
        ("", "no known class"),
    ],
)
def test_a_list_that_makes_no_split_is_refused(text, message, tmp_path):
    (tmp_path / "p1_test.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        load_split(tmp_path, "Split-1")


def test_the_fourth_split_needs_no_file(tmp_path):
    known, unknown, first = load_split(tmp_path, "Split-4", class_list("imagenet1k"))
    assert (len(known), len(unknown), len(first)) == (100, 900, 10)
    assert known + unknown == list(class_list("imagenet1k"))
