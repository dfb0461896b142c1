"""CLIPScope's score by hand."""

import numpy as np

from skneg import TextBank
from skneg._state import FittedState
from skneg.adaptation import CLIPScope, Static
from skneg.vocabulary import Vocabulary


def test_scores_by_hand():
    eye = np.eye(4, dtype=np.float32)
    bank = TextBank(eye[:2], eye[:0], common=eye[2:])
    state = FittedState(Vocabulary(np.array(["a", "b"]), ("a", "b")), None, 0.5, {}, {"text_bank_": bank})
    static, adaptation = (
        Static(None, state, eye, np.arange(4.0), np.zeros(4, dtype=int), np.arange(4)),
        CLIPScope(),
    )
    memory = adaptation.start(static, 0)
    assert memory["counts"].tolist() == [1, 1]
    memory = adaptation.move(static, memory, eye[[0, 0, 1]], np.zeros(3))
    assert memory["counts"].tolist() == [3, 2]
    z = np.array([[0.6, 0.0, 0.8, 0.0]], dtype=np.float32)
    e = np.exp(np.array([0.6, 0.0, 0.8, 0.0]) / 0.5)
    p = e[0] / e[:2].sum() * e[:2].sum() / e.sum() / (3 / 5)
    np.testing.assert_allclose(np.exp(adaptation.score(static, memory, z, np.zeros(1))), p, rtol=1e-6)
