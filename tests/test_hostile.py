"""Every reader of a path meets pipes, sockets, devices, folders and loops, and says so at once."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import skneg
from skneg import CLIPImageEncoder, SknegError
from skneg.__main__ import main
from skneg._commands._images import labelled, unlabelled
from skneg.backbone import embedding_width, load_backbone, load_no_tower
from skneg.backbone._config import CONFIG_NAME
from skneg.backbone._tiny import TINY_FOLDER, WEIGHTS_NAME
from skneg.cache import CacheWarning, EmbeddingCache
from skneg.datasets import list_images, load_image_folder, load_image_list
from skneg.datasets._folders import read_lines
from skneg.datasets._image_classes import load_class_names, read_json
from skneg.images import as_image_sequence, decode_image
from skneg.persistence import read_header
from skneg.persistence._models import check_weight_file
from skneg.streams import predict_stream
from skneg.words import _read_kept

from .persistence.conftest import with_bank


def folder_with(path, name):
    """A copy of the shipped model in which one file is something else."""
    folder = path.parent.parent / "model"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(TINY_FOLDER, folder)
    (folder / name).unlink()
    (folder / name).symlink_to(path)
    return f"local-dir:{folder}"


# Names that no file can have, on most systems.
NO_NAMES = ["x" * 300, "~a\0b", "\ud800", "~no_such_user_at_all/a", "a/" * 3000]

READERS = {
    "load": skneg.load,
    "read_header": read_header,
    "decode_image": decode_image,
    "an image as bytes of its path": lambda path: as_image_sequence(np.array([str(path).encode()]))[0],
    "a Hugging Face cell": lambda path: decode_image({"bytes": None, "path": str(path)}),
    "transform": lambda path: CLIPImageEncoder(model="skneg-tiny").transform([path]),
    "transform with a cache": lambda path: CLIPImageEncoder(
        model="skneg-tiny", cache=path.parent / "a cache"
    ).transform([path]),
    "load_no_tower": lambda path: load_no_tower(load_backbone("skneg-tiny"), path),
    "sha256 of weights": lambda path: check_weight_file("no_encoder", path, {"files": {"no_encoder": "0"}}),
    "configuration": lambda path: load_backbone(folder_with(path, CONFIG_NAME)),
    "width": lambda path: embedding_width(folder_with(path, CONFIG_NAME)),
    "weights": lambda path: load_backbone(folder_with(path, WEIGHTS_NAME)),
    "pretrained": lambda path: load_backbone("ViT-B-32", str(path)),
    "read_lines": read_lines,
    "load_image_list": lambda path: load_image_list(path, path.parent),
    "read_json": read_json,
    "a table": lambda path: labelled(str(path), "raise"),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_refuses_what_is_no_regular_file(reader, no_files, at_once):
    for kind, path in no_files.items():
        with pytest.raises(SknegError) as caught:
            READERS[reader](path)
        assert str(caught.value), kind


FOLDERS = {
    "list_images": list_images,
    "load_image_folder": load_image_folder,
    "the root of a list": lambda path: load_image_list(__file__, path),
    "configuration": lambda path: load_backbone(f"local-dir:{path}"),
    "width": lambda path: embedding_width(f"local-dir:{path}"),
    "class names": lambda path: load_class_names(Path(path), ["a"]),
    "a folder of the command line": lambda path: labelled(path, "raise"),
}
NOT_OF_NAMES = {"configuration", "width", "weights", "an image as bytes of its path"}


@pytest.mark.parametrize("name", NO_NAMES, ids=["long", "NUL", "surrogate", "user", "deep"])
@pytest.mark.parametrize("reader", [*FOLDERS, *(name for name in READERS if name not in NOT_OF_NAMES)])
def test_a_reader_refuses_a_name_that_no_file_has(reader, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SknegError):
        {**READERS, **FOLDERS}[reader](name if reader in FOLDERS else Path(name))


@pytest.mark.parametrize("name", [NO_NAMES[0], NO_NAMES[-1]], ids=["long", "deep"])
def test_a_cache_of_such_a_name_is_one_warning(name, scenes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.warns(CacheWarning, match="too long"):
        assert CLIPImageEncoder(model="skneg-tiny", cache=name).transform(scenes[0][:2]).shape == (2, 128)


def test_links_to_regular_files_are_read_by_all(tmp_path):
    detector, X = with_bank(["cat", "dog"])
    detector.save(tmp_path / "a.skneg")
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png")
    (tmp_path / "list.txt").write_text("a.png 3\n")
    for name in ("a.skneg", "a.png", "list.txt"):
        (tmp_path / f"link to {name}").symlink_to(tmp_path / name)
    assert (skneg.load(tmp_path / "link to a.skneg").predict(X) == detector.predict(X)).all()
    assert decode_image(tmp_path / "link to a.png").size == (8, 8)
    assert len(load_image_list(tmp_path / "link to list.txt", tmp_path)[0]) == 1


def test_a_stream_skips_them(no_files, at_once, scenes):
    detector = skneg.MCMDetector(model="skneg-tiny").fit(*scenes)
    sound = no_files["a folder"].parent / "sound.png"
    Image.fromarray(scenes[0][0]).save(sound)
    (table,) = predict_stream(detector, [*no_files.values(), sound], on_error="skip")
    assert [error is None for error in table.error] == [False] * len(no_files) + [True]


def test_a_cache_goes_on_without_them(no_files, at_once, tmp_path):
    cache = EmbeddingCache(tmp_path / "cache", "namespace")
    for number, path in enumerate(no_files.values()):
        entry = cache._path(f"{number:064x}")
        entry.parent.mkdir(parents=True, exist_ok=True)
        entry.symlink_to(path)
        if path.name != "a loop":  # which does not exist
            with pytest.warns(CacheWarning, match="left as it is"):
                assert cache.get(f"{number:064x}") is None
        assert _read_kept(path, "key", (2, 2)) is None


def test_a_folder_of_them_is_read_as_far_as_it_can_be(no_files, at_once, tmp_path):
    (tmp_path / "images").mkdir()
    sound = tmp_path / "images" / "sound.png"
    Image.new("RGB", (8, 8), "red").save(sound)
    for number, path in enumerate(no_files.values()):
        (tmp_path / "images" / f"{number}.png").symlink_to(path)
    assert len(list_images(tmp_path / "images")) == len(no_files)  # all but the empty folder, and `sound`
    assert unlabelled(str(tmp_path / "images"), "skip") == [sound]


@pytest.mark.parametrize("command", ["info", "predict", "fit", "report"])
def test_the_command_line_says_what_is_wrong(command, no_files, at_once, capsys, tmp_path):
    out = ["--out", str(tmp_path / "out")]
    for path in no_files.values():
        arguments = {
            "info": ["info", str(path)],
            "predict": ["predict", str(path), "a.png"],
            "fit": ["fit", str(path), "--model", "skneg-tiny", *out],
            "report": ["report", str(path), str(path), *out],
        }[command]
        with pytest.raises(SystemExit) as ended:
            raise SystemExit(main(arguments))
        assert ended.value.code not in (0, None)
        assert str(path) in capsys.readouterr().err
