"""JSON of strangers."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skneg import _json
from skneg._json import _measured, parse_json

PLAIN = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(alphabet='a\\"[]{}:,é')
)
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet='k\\"['), inner)
)


def counted(value):
    """How deep a value is, and how many values it has, keys included."""
    if not isinstance(value, list | dict):
        return 0, 1
    parts = [counted(part) for part in (value.values() if isinstance(value, dict) else value)]
    keys = len(value) if isinstance(value, dict) else 0
    return 1 + max((depth for depth, _ in parts), default=0), 1 + keys + sum(n for _, n in parts)


@pytest.fixture(params=[3, 2**18], autouse=True, scope="module")
def block(request):
    """Also in blocks so small that strings and brackets go over their ends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_json, "_BLOCK", request.param)
        yield


@given(VALUES)
def test_what_is_written_is_measured_and_read(value):
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False).encode()):
        assert parse_json(text, "it") == value
        depth, n_values = counted(value)
        measured = _measured(text if isinstance(text, bytes) else text.encode())
        assert measured[1] == depth
        assert n_values <= measured[0] <= 2 * n_values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[[1]]]", "it has brackets 3 deep, more than 2"),
        ("[1, 2, 3, 4, 5]", "it has 6 values, more than 5"),
        ("{", "it is no JSON"),
        ("", "it is no JSON"),
        (b"\xff", "it is no JSON"),
        ('["open', "it is no JSON"),
        (f"[{'1' * 5000}]", "it is no JSON"),
    ],
)
def test_what_is_refused_says_why(text, message):
    with pytest.raises(ValueError, match=message):
        parse_json(text, "it", max_values=5, max_depth=2)


def test_what_stands_in_strings_does_not_count():
    text = json.dumps(["[[[[,,,,\\", '"[[[['])
    assert parse_json(text, "it", max_values=5, max_depth=1) == json.loads(text)
