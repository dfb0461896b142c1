"""A sample of `python -m tests.faults`, and that a trial would find what it looks for."""

import subprocess
import sys
from pathlib import Path

import pytest
from sklearn.exceptions import NotFittedError

from skneg.errors import InputError

from ._stream_trials import STREAMS, tells, unmoved
from ._tiny import tiny_input
from ._trial import Trial


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured as Linux tells it")
def test_a_sample_of_all_trials():
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--sample", "200"],
        capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| all | 200 | " in done.stdout


def failing(error):
    raise error


@pytest.mark.parametrize(
    ("call", "check", "outcome"),
    [
        (lambda: failing(InputError("no")), None, "refused"),
        (lambda: failing(NotFittedError("no")), None, "refused"),
        (lambda: 5, None, "wrong: answered 5"),
        (lambda: 5, lambda found: found == 5, "right"),
        (lambda: 5, lambda found: found == 4, "wrong: answered 5"),
        (lambda: failing(InputError("no")), lambda found: True, "wrong: refused with InputError: no"),
    ],
)
def test_a_trial_says_what_came_of_it(call, check, outcome):
    assert Trial("", "", "", "", call, check).run() == outcome


def test_other_errors_are_left_to_whoever_runs_trials():
    with pytest.raises(KeyError):
        Trial("", "", "", "", lambda: {}["a"]).run()
    assert Trial("", "", "", "", lambda: failing(InputError("")), lambda found: True, True).run() == "refused"


@pytest.mark.parametrize("of", STREAMS)
def test_a_stream_that_moves_though_its_call_fails_is_seen(of):
    X = tiny_input(of[0])[0][:3]

    def moves(stream):
        stream.partial_score(X)
        raise InputError("no")

    def changes(stream):
        stream._moved.waiting[0] = 0
        raise InputError("no")

    for act in (moves, changes):
        with pytest.raises(AssertionError, match="has moved"):
            unmoved(of, act)
    with pytest.raises(InputError, match="no"):
        unmoved(of, lambda stream: failing(InputError("no")))


def test_another_row_in_an_error_is_seen():
    with pytest.raises(RuntimeError, match="row 2"):
        tells("row 2", lambda: failing(InputError("row 1 has NaN")))
