import numpy as np
import pytest
from PIL import Image

from skneg.datasets import list_images, load_image_folder, load_image_list
from skneg.errors import InputError


@pytest.fixture
def folder(tmp_path):
    for name in ("cat/b.png", "cat/deep/a.jpg", "dog/c.JPEG", "dog/notes.txt", ".hidden/d.png", "dog/.e.png"):
        file = tmp_path / "images" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(file, "png")
    return tmp_path / "images"


def test_images_of_a_folder_per_class(folder):
    paths, labels = load_image_folder(folder)
    assert [path.relative_to(folder).as_posix() for path in paths] == [
        "cat/b.png",
        "cat/deep/a.jpg",
        "dog/c.JPEG",
    ]
    assert labels.tolist() == ["cat", "cat", "dog"]
    assert list_images(folder) == paths


def test_an_image_in_no_class_folder_is_refused(folder):
    (folder / "dog" / "c.JPEG").rename(folder / "stray.jpg")
    with pytest.raises(InputError, match="stray.jpg"):
        load_image_folder(folder)


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no image"):
        list_images(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        list_images(tmp_path / "gone")


def test_a_link_back_up_is_not_followed(folder):
    before = list_images(folder)
    (folder / "cat" / "up").symlink_to("..")
    (folder / "cat" / "deep" / "again").symlink_to(folder / "cat")
    assert list_images(folder) == before


def test_links_to_other_folders_are_followed(folder, tmp_path):
    folder.rename(tmp_path / "elsewhere")
    folder.mkdir()
    for name in ("cat", "tom"):
        (folder / name).symlink_to(tmp_path / "elsewhere" / "cat")
    assert load_image_folder(folder)[1].tolist() == ["cat", "cat", "tom", "tom"]


def test_a_list_names_images_and_labels(folder, tmp_path):
    (folder / "dog" / "c.JPEG").rename(folder / "dog" / "a b.jpg")
    file = tmp_path / "list.txt"
    file.write_text("# made by hand\ndog/a b.jpg 3\n\ncat/b.png -1\n")
    paths, labels = load_image_list(file, folder)
    assert [path.name for path in paths] == ["a b.jpg", "b.png"]
    assert labels.tolist() == ["3", "-1"]


def test_a_list_that_cannot_be_read_is_named(folder, tmp_path):
    with pytest.raises(InputError, match=r"gone\.txt"):
        load_image_list(tmp_path / "gone.txt", folder)
    (tmp_path / "list.txt").write_bytes(b"cat/\xff.png 0\n")
    with pytest.raises(InputError, match=r"list\.txt.*UTF-8"):
        load_image_list(tmp_path / "list.txt", folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat/b.png 0\ncat/gone.png 1", "line 2.*gone.png"),
        ("cat/b.png", "line 1.*not 'path label'"),
        ("# nothing\n", "names no image"),
    ],
)
def test_a_list_that_cannot_be_used_says_where(folder, tmp_path, text, message):
    file = tmp_path / "list.txt"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        load_image_list(file, folder)
