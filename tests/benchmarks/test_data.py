"""The data folder: what is missing."""

import shutil

import pytest

from skneg.errors import InputError

from .conftest import CLASSES, WNIDS, by_cell


def test_everything_that_is_missing_is_said_at_once(run, imagenet, tmp_path, monkeypatch):
    root = tmp_path / "data"
    shutil.copytree(imagenet / "imagenet" / "val", root / "imagenet" / "val")
    monkeypatch.setattr("skneg.benchmarks._run.image_tasks", None)
    with pytest.raises(InputError) as refusal:
        run("open-vocabulary", data=root)
    message = str(refusal.value)
    for missing in ("ImageNet train", "iNaturalist", "SUN", "Places", "Textures", "splits_wnids.json"):
        assert missing in message
    assert "ImageNet val" not in message
    assert not (tmp_path / "out").exists()


def test_class_names_are_needed_where_folders_are_not_imagenet_s(run, imagenet, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(imagenet, root)
    (root / "class_names.json").unlink()
    with pytest.raises(InputError, match="class_names.json"):
        run(data=root)
    text = "".join(f"{w} {name}\n" for w, name in zip(WNIDS, CLASSES, strict=True))
    (root / "classnames.txt").write_text(text)
    assert by_cell(run(data=root, detectors=["MCMDetector"]))
