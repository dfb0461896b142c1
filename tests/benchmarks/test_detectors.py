"""Detectors by name, and their settings."""

from pathlib import Path

import pytest

import skneg
from skneg.benchmarks._detectors import describe, find_detectors, parse_settings
from skneg.errors import InputError


def test_settings_are_python_values_or_text():
    assert parse_settings(["A.n=4", "A.flag=True", "B.paper.text=a photo", "*.gamma=.5"]) == {
        "A": {"n": 4, "flag": True}, "B.paper": {"text": "a photo"}, "*": {"gamma": 0.5},
    }  # fmt: skip


@pytest.mark.parametrize("text", ["A.n", "n=4", "A.=4"])
def test_settings_that_say_nothing_are_refused(text):
    with pytest.raises(InputError, match="DETECTOR.parameter=value"):
        parse_settings([text])


def test_settings_of_a_recipe_come_over_those_of_its_detector():
    settings = {"*": {"contamination": 0.2}, "NegPromptDetector": {"contamination": 0.1}}
    settings["NegPromptDetector.paper"] = {"contamination": 0.3}
    names = ["MCMDetector", "NegPromptDetector", "NegPromptDetector.paper"]
    specs = find_detectors(names, settings)
    assert [spec.settings["contamination"] for spec in specs] == [0.2, 0.1, 0.3]
    assert [spec.label for spec in specs] == names
    assert [spec.depends_on_seed for spec in specs] == [False, True, True]


def test_what_a_detector_lacks_is_said():
    clipn, glmcm = find_detectors(["CLIPNDetector", "GLMCMDetector"], {})
    assert "no_encoder" in clipn.reason(True, {"no_encoder": None})
    assert clipn.reason(False, {"no_encoder": "tower"}) is None
    assert "patches" in glmcm.reason(False, {})
    assert glmcm.reason(True, {}) is None


def test_parameters_are_told_apart_as_json():
    assert describe({"a": (1, None), "b": Path("/somewhere/file"), "c": len}) == {
        "a": [1, None], "b": "file", "c": "len",
    }  # fmt: skip
    words, others = (describe([f"{word} {i}" for i in range(30)]) for word in ("a", "b"))
    assert words.startswith("30 items")
    assert words != others
    assert describe(skneg.PromptRecipe(n_negative=3))["PromptRecipe"]["n_negative"] == 3
