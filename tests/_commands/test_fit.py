from types import SimpleNamespace

import pytest

from skneg._commands._fit import of_model, settings
from skneg.errors import InputError


def test_settings_are_literals_or_text():
    assert settings(["a=1", "recipe__n_negative=2", "words=nouns", "b=None", "c=x=y"]) == {
        "a": 1, "recipe__n_negative": 2, "words": "nouns", "b": None, "c": "x=y",
    }  # fmt: skip
    with pytest.raises(InputError, match="PARAMETER=VALUE"):
        settings(["=1"])


def test_only_what_was_given_is_set():
    assert of_model(SimpleNamespace(model="m", pretrained=None, device=None)) == {"model": "m"}
