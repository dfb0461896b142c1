import re
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features

from skneg.datasets import list_images, load_image_folder, load_image_list
from skneg.errors import InputError, InputWarning
from skneg.images import decode_image, image_suffixes


@pytest.fixture
def folder(tmp_path):
    for name in ("cat/b.png", "cat/deep/a.jpg", "dog/c.JPEG", ".hidden/d.png", "dog/.e.png"):
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


FORMATS = {
    ".ppm": "PPM", ".pgm": "PPM", ".jfif": "JPEG", ".jpe": "JPEG", ".mpo": "MPO", ".avif": "AVIF",
    ".JPG": "JPEG", ".Png": "PNG", ".TIF": "TIFF", ".webp": "WEBP", ".apng": "PNG",
}  # fmt: skip


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_the_decoder_reads_is_listed(tmp_path, suffix):
    # Of several libraries: https://github.com/lstein/PhotoMapAI/issues/364 (.tif, .avif, .jfif) and
    # https://github.com/open-edge-platform/anomalib/issues/3058 (upper case).
    if suffix == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    file = tmp_path / "cat" / f"a{suffix}"
    file.parent.mkdir()
    Image.new("RGB", (16, 16)).save(file, FORMATS[suffix])
    assert load_image_folder(tmp_path)[0] == [file]
    assert decode_image(file).size == (16, 16)


def test_what_is_left_out_is_counted_by_suffix_and_class(folder):
    for name in ("dog/notes.txt", "dog/x.heic", "dog/y.heic", "cat/deep/z.HEIC", "README", "cat/b"):
        (folder / name).touch()
    with pytest.warns(InputWarning) as caught:
        paths, _ = load_image_folder(folder)
    (said,) = caught
    assert said.filename == __file__
    for part in ("2 .heic in 'dog'", "1 .txt in 'dog'", "1 .HEIC in 'cat'", "1 without a suffix in 'cat'"):
        assert part in str(said.message)
    assert len(paths) == 3
    with pytest.warns(InputWarning, match="1 without a suffix[,.]"):
        assert list_images(folder) == paths


@pytest.mark.parametrize("names", [[], ["a.heic", "b.heic"], [".hidden.png"]])
def test_a_class_folder_without_a_usable_file_is_refused(folder, names):
    # torchvision refuses it as well: https://github.com/pytorch/vision/issues/4925
    (folder / "okapi").mkdir()
    for name in names:
        (folder / "okapi" / name).touch()
    with pytest.raises(InputError, match=r"1 of the 3 class folders.*'okapi'") as caught:
        load_image_folder(folder)
    assert ("2 .heic in 'okapi'" in str(caught.value)) == (len(names) == 2)


@given(
    st.dictionaries(
        st.tuples(
            st.sampled_from(["cat", "dog"]), st.from_regex(r"[a-z]{1,4}\.[A-Za-z]{1,4}", fullmatch=True)
        ),
        st.just(""),
        max_size=6,
    )
)
def test_every_file_is_listed_or_counted(files):
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        for kind in ("cat", "dog"):
            (root / kind).mkdir()
            (root / kind / "first.png").touch()
        for kind, name in files:
            (root / kind / name).touch()
        here = [path for path in root.rglob("*") if path.is_file()]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            paths, _ = load_image_folder(root)
    counted = sum(int(n) for said in caught for n in re.findall(r"(\d+) \.\w+ in ", str(said.message)))
    assert len(paths) + counted == len(here)
    assert all(path.suffix.lower() in image_suffixes() for path in paths)


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
    file.write_text("\ufeff# made by hand\ndog/a b.jpg 3\n\ncat/b.png\t-1\n", encoding="utf-8")
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
