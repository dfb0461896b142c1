"""Images of a command line."""

import io
import os

import pytest
from PIL import Image

from skneg._commands._images import expanded, labelled
from skneg.errors import InputError


@pytest.fixture
def folder(tmp_path):
    for name in ("a/1.png", "a/2.png", "b/3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), "red").save(tmp_path / name)
    return tmp_path


def test_a_table_has_paths_from_its_own_place(folder):
    (folder / "t.csv").write_text("\ufefflabel,path,group\nhen,a/1.png,x\nowl,b/3.png,y\n", encoding="utf-8")
    paths, labels, groups = labelled(str(folder / "t.csv"), "raise")
    assert paths == [folder / "a/1.png", folder / "b/3.png"]
    assert labels.tolist() == ["hen", "owl"]
    assert groups.tolist() == ["x", "y"]


@pytest.mark.parametrize(
    ("text", "message"), [("path\na\n", "needs path and label"), ("path,label\n", "has no row")]
)
def test_tables_that_are_none(folder, text, message):
    (folder / "t.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        labelled(str(folder / "t.csv"), "raise")


def test_unreadable_images_are_left_out_with_their_labels(folder, capsys):
    (folder / "a" / "0.png").write_bytes(b"")
    paths, labels, groups = labelled(str(folder), "skip")
    assert [path.name for path in paths] == ["1.png", "2.png", "3.png"]
    assert labels.tolist() == ["a", "a", "b"]
    assert groups is None
    assert "0.png" in capsys.readouterr().err


def test_folders_files_and_standard_input_by_path(folder, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{folder}/b/3.png\n\n"))
    paths = list(expanded([str(folder / "a"), "-", "gone.png"]))
    assert [path.name for path in paths] == ["1.png", "2.png", "3.png", "gone.png"]


def test_standard_input_has_lines_of_a_sensible_length(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.stdin", io.StringIO("a.png\r\n\n b.png\nc.png"))
    assert [str(path) for path in expanded(["-"])] == ["a.png", " b.png", "c.png"]
    monkeypatch.setattr("sys.stdin", io.StringIO("a.png\n" + "x" * 2**20))
    paths = expanded(["-"])
    assert str(next(paths)) == "a.png"
    with pytest.raises(InputError, match="no path"):
        next(paths)


def test_names_on_standard_input_may_be_any_bytes(monkeypatch):
    given = io.TextIOWrapper(io.BytesIO(b"a\xff.png\nb.png\n"), encoding="utf-8")
    monkeypatch.setattr("sys.stdin", given)
    assert [os.fsencode(path) for path in expanded(["-"])] == [b"a\xff.png", b"b.png"]


def test_a_path_of_a_table_that_no_file_can_have_is_skipped(folder, capsys):
    (folder / "t.csv").write_text("path,label\n~a\0b.png,cat\na/1.png,dog\n")
    assert labelled(str(folder / "t.csv"), "skip")[1].tolist() == ["dog"]
    assert "skipped" in capsys.readouterr().err
