"""Few lives of detectors of each kind; many in ``make fuzz``."""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from ._life import KINDS, Life

EXAMPLES = int(os.environ.get("EXAMPLES", 500))  # of all kinds together

pytestmark = pytest.mark.filterwarnings("ignore::skneg.errors.SknegWarning")


def live(kind, n_lives, n_calls, **given):
    machine = type(kind, (Life,), {"kind": kind})
    asked = settings(
        max_examples=n_lives,
        stateful_step_count=n_calls,
        deadline=None,
        phases=[Phase.reuse, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        **given,
    )
    run_state_machine_as_test(machine, settings=asked)


@pytest.mark.parametrize("kind", KINDS)
def test_a_detector_answers_as_it_must_whatever_was_called_before(kind):
    trains = kind in ("NegPromptDetector", "CoOpDetector")  # takes a second
    live(kind, 1 if trains else 3, 10, derandomize=True, database=None)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_detector_answers_as_it_must_in_many_lives(kind):
    live(kind, -(-EXAMPLES // len(KINDS)), 20, print_blob=True)
