from types import SimpleNamespace

import skneg
from skneg._commands._lists import detectors, models


def test_models_by_a_part_of_their_name(capsys):
    models(SimpleNamespace(pattern="TINY"))
    assert capsys.readouterr().out.startswith("skneg-tiny ")
    models(SimpleNamespace(pattern="laion2b_s34b_b88k"))
    assert "ViT-B-16 " in capsys.readouterr().out


def test_all_detectors(capsys):
    detectors(SimpleNamespace())
    assert len(capsys.readouterr().out.splitlines()) == len(skneg.list_detectors())
