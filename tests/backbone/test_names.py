from pathlib import Path

import pytest

from skneg.backbone._names import absolute, names_of_pair

from ..conftest import run_python


@pytest.mark.parametrize(
    ("model", "names"),
    [
        ("ViT-B-16+timm:resnet50.a1_in1k", ("ViT-B-16", "timm:resnet50.a1_in1k")),
        ("timm:a+timm:local-dir:/b+c", ("timm:a", "timm:local-dir:/b+c")),
        ("ViT-B-16-plus-240", None),
        ("timm:resnet50", None),
        ("local-dir:/a+b", None),
        (None, None),
    ],
)
def test_two_models_stand_around_a_plus(model, names):
    assert names_of_pair(model) == names


def test_folders_are_the_same_from_everywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for folder in ("m", "~/m", str(Path.cwd() / "m")):
        assert absolute(f"local-dir:{folder}") == f"local-dir:{Path.cwd() / 'm'}"
        assert absolute(f"timm:local-dir:{folder}") == f"timm:local-dir:{Path.cwd() / 'm'}"
    for model in ("skneg-tiny", "hf-hub:a/b", "timm:hf-hub:a/b"):
        assert absolute(model) == model


def test_reading_names_imports_no_torch():
    code = "import sys, skneg; skneg.TimmImageEncoder(); from skneg.backbone._names import names_of_pair; "
    assert run_python(code + "print({'torch', 'timm', 'open_clip'} & set(sys.modules))") == "set()"
