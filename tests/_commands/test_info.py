from types import SimpleNamespace

import pytest

import skneg
from skneg._commands._info import info
from skneg.errors import PersistenceError

from ..persistence.conftest import forge, with_bank


def test_what_it_says_is_what_the_detector_is(embedded, tmp_path, capsys):
    detector = skneg.MCMDetector(model="skneg-tiny", contamination=0.1).fit(*embedded)
    detector.save(tmp_path / "a.skneg")
    info(SimpleNamespace(file=tmp_path / "a.skneg", json=False))
    told = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert told["detector"] == "MCMDetector"
    assert told["model"] == "skneg-tiny"
    assert told["classes"].startswith("6 (anchor, bottle")
    assert float(told["threshold"]) == detector.offset_
    assert told["contamination"] == "0.1"


def test_of_a_detector_that_holds_others_it_says_the_first_inner_one(embedded, tmp_path, capsys):
    detector = skneg.KNNDetector(random_state=0).fit(*embedded)
    for holder in (skneg.StreamDetector(detector), skneg.ScoreEnsemble([detector])):
        holder.fit(*embedded).save(tmp_path / "a.skneg")
        info(SimpleNamespace(file=tmp_path / "a.skneg", json=False))
        told = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
        assert told["detector"] == f"{type(holder).__name__} of KNNDetector"
        assert told["classes"].startswith("6 (anchor, bottle")
        assert float(told["threshold"]) == detector.offset_


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "a.skneg").write_bytes(b"nothing")
    with pytest.raises(PersistenceError, match=r"a\.skneg"):
        info(SimpleNamespace(file=tmp_path / "a.skneg", json=False))


def test_a_forged_header_neither_breaks_nor_steers_the_terminal(tmp_path, capsys):
    path = tmp_path / "a.skneg"
    with_bank(["cat", "dog"])[0].save(path)

    def rename(header, tensors):
        header["detector"]["attributes"]["class_names_"] = ["\x1b]0;title\x07", "dog"]

    info(SimpleNamespace(file=forge(path, rename), json=False))
    assert "\x1b" not in (told := capsys.readouterr().out)
    assert "?]0;title?, dog" in told
    for change in ({"detector": 3}, {"detector": {}}, {"versions": None}):
        with pytest.raises(PersistenceError, match="does not describe a detector"):
            info(SimpleNamespace(file=forge(path, lambda header, _, c=change: header.update(c)), json=False))
