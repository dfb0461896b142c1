"""A sample of `python -m tests.faults`, and that it would find what it looks for."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from skneg.errors import InputError

from ._trial import MIB, Trial, run

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="memory is measured as Linux tells it"
)


def test_a_sample_of_all_trials():
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--sample", "200"],
        capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| all | 200 | " in done.stdout


def refuse():
    raise InputError("no")


FAILURES = {
    "crash": [lambda: {}["key"], lambda: os._exit(0), lambda: os.kill(os.getpid(), 9), lambda: sys.exit(0)],
    "hang": [lambda: time.sleep(600)],
    "memory": [lambda: np.ones(2**17 * (MIB + 100)).sum() and refuse()],
    "wrong": [lambda: 5],
    "refused": [refuse],
}


def test_what_trials_find(monkeypatch):
    monkeypatch.setattr("tests.faults._trial.SECONDS", 3)
    trials = [Trial(verdict, "", "", "", call) for verdict, calls in FAILURES.items() for call in calls]
    sound = [Trial("right", "", "", "", lambda: 1, lambda found: found == 1) for _ in range(3)]
    unsound = [Trial("wrong", "", "", "", call, lambda found: found == 1) for call in (refuse, lambda: 2)]
    outcomes = list(run([*trials, *sound, *unsound]))
    assert len(outcomes) == len(trials) + 5
    for trial, outcome in outcomes:
        assert outcome.verdict == trial.fault, outcome
