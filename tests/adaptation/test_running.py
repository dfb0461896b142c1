"""A stream under way, with an adaptation that can be followed by hand."""

import numpy as np
import pytest

from skneg._state import FittedState
from skneg.adaptation import Adaptation, Static
from skneg.adaptation._running import Running
from skneg.errors import PersistenceError
from skneg.threshold import Calibrator
from skneg.vocabulary import Vocabulary

EYE = np.eye(4, dtype=np.float32)
SCORES = np.array([1.0, 2.0, 3.0, 4.0])
CALIBRATOR = Calibrator(EYE, None, SCORES, 2.0)
STATE = FittedState(Vocabulary(np.array(["a"]), ("a",)), None, 1.0, {}, {}, CALIBRATOR)
STATIC = Static(None, STATE, EYE, SCORES, np.zeros(4, dtype=int), np.arange(4))


class Counting(Adaptation):
    """Scores fall by ten with each move."""

    def start(self, static, seed):
        return {"n": 0}

    def move(self, static, memory, Z, s):
        return {"n": memory["n"] + 1}

    def score(self, static, memory, Z, s):
        return s - 10 * memory["n"]


def test_the_threshold_stays_where_scores_move():
    running = Running.begin(Counting(), STATIC, 0)
    assert running.shift == 0
    scores, after = running.after(EYE[[0, 1, 2]], np.array([5.0, 6.0, 7.0]), 2)
    # Two images, a move, one that waits.
    assert after.memory == {"n": 1}
    assert (after.n_seen, len(after.waiting)) == (3, 1)
    assert after.shift == 10
    np.testing.assert_array_equal(scores, [5, 6, 7])
    np.testing.assert_array_equal(after.reference, SCORES)
    assert running.memory == {"n": 0}


def test_values_come_back_and_others_are_refused():
    first = Running.begin(Counting(), STATIC, 0)
    now = first.after(EYE, np.arange(4.0), 3)[1]
    again = first.restored(now.as_values(), 3)
    assert again.as_values().keys() == now.as_values().keys()
    assert (again.order, again.n_seen, again.shift) == (now.order, now.n_seen, now.shift)
    for change in ({"memory": {"n": 1.5}}, {"memory": {}}, {"n_seen": "4"}, {"waiting": EYE[:, :2]}):
        with pytest.raises(PersistenceError, match="other parts"):
            first.restored({**now.as_values(), **change}, 3)
