"""The sets of images that protocols are made of."""

import pytest

from skneg.datasets._image_sets import HELD, SETS, load_set, locate
from skneg.errors import InputError


def test_every_set_says_where_it_belongs():
    for key, known in SETS.items():
        assert known.lists, key
        assert known.lists[-1] in known.wanted()
        assert known.origin in known.wanted()
        assert all(folder in known.wanted() for folder in known.folders)


def test_every_set_is_in_a_protocol():
    used = set()
    for held in HELD["protocols"].values():
        used |= {held["train"], held["test"]}.union(*(held.get(g, ()) for g in ("near", "far", "covariate")))
    assert used == set(SETS)


def test_a_list_takes_the_place_of_a_folder(tmp_path):
    assert locate(tmp_path, "ninco") is None
    folder = tmp_path / "images_largescale" / "ninco" / "door"
    folder.mkdir(parents=True)
    for name in ("a.jpg", "b c.jpg"):
        (folder / name).touch()
    assert locate(tmp_path, "ninco") == folder.parent
    assert len(load_set(tmp_path, "ninco")[0]) == 2
    lists = tmp_path / "benchmark_imglist" / "imagenet"
    lists.mkdir(parents=True)
    (lists / "test_ninco.txt").write_bytes(b"\xef\xbb\xbf\r\nninco/door/b c.jpg -1\r\n\r\n")
    paths, labels = load_set(tmp_path, "ninco")
    assert [path.name for path in paths] == ["b c.jpg"]
    assert labels.tolist() == ["-1"]


def test_an_empty_list_is_refused(tmp_path):
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "ninco.txt").write_text("\n# nothing\n")
    with pytest.raises(InputError, match="names no image"):
        load_set(tmp_path, "ninco")
