"""The table of detectors: names on the lowest floor, classes when asked for."""

import pytest

import skneg
from skneg._registry import DETECTORS, HOLDERS, detector_class

from .conftest import run_python


def test_every_name_finds_its_class():
    for name in {**DETECTORS, **HOLDERS}:
        assert detector_class(name).__name__ == name
        assert getattr(skneg, name) is detector_class(name)


def test_no_other_name_finds_anything():
    with pytest.raises(KeyError, match="os"):
        detector_class("os")


def test_the_list_says_what_the_classes_say():
    for info in skneg.list_detectors():
        cls = detector_class(info.name)
        assert (info.training, info.needs, info.paper) == (cls.training, cls.needs, cls.reference)
        assert info.training in ("none", "features", "prompts")
        assert any(year in info.paper for year in map(str, range(1990, 2027)))


def test_the_table_itself_imports_no_detector():
    code = "import sys, skneg._registry; sys.exit('skneg.detectors' in sys.modules)"
    run_python(code)
