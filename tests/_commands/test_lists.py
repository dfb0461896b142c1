from types import SimpleNamespace

import skneg
from skneg._commands._lists import detectors, models


def test_models_by_a_part_of_their_name(capsys):
    models(SimpleNamespace(pattern="TINY"))
    assert capsys.readouterr().out.startswith("skneg-tiny ")
    models(SimpleNamespace(pattern="laion2b_s34b_b88k"))
    assert "ViT-B-16 " in capsys.readouterr().out
    models(SimpleNamespace(pattern="dinov2"))
    listed = capsys.readouterr().out.splitlines()
    assert "timm:vit_base_patch14_dinov2.lvd142m an image model of timm; reads no names" in listed
    assert all(line.startswith("timm:") for line in listed)


def test_all_detectors(capsys):
    detectors(SimpleNamespace())
    assert len(capsys.readouterr().out.splitlines()) == len(skneg.list_detectors())
