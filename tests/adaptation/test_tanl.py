"""TANL's words and score, by hand."""

import numpy as np

from skneg import TextBank
from skneg._state import FittedState
from skneg.adaptation import TANL, Static
from skneg.adaptation._tanl import otsu
from skneg.vocabulary import Vocabulary

EYE = np.eye(5, dtype=np.float32)
STATE = FittedState(
    Vocabulary(np.array(["a", "b"]), ("a", "b")),
    None,
    0.2,
    {},
    {"text_bank_": TextBank(EYE[:2], EYE[2:])},
)
STATIC = Static(None, STATE, EYE[[0, 1]], np.arange(2.0), np.zeros(2, dtype=int), np.arange(2))


def test_otsu_parts_two_groups_and_says_0_for_one():
    assert 0.1 < otsu(np.array([0.08, 0.1, 0.9, 0.92, 0.95])) <= 0.9
    # All thresholds in the gap are as good: the middle one of 0.11 to 0.90.
    assert otsu(np.array([0.105, 0.105, 0.9, 0.9])) == 0.51
    assert otsu(np.array([0.4, 0.4])) == 0.0


def test_words_that_unknown_images_activate_come_first():
    adaptation = TANL(n_words=2, gap=0.0)
    memory = adaptation.start(STATIC, 0)
    assert memory["unknown"].shape == (0, 3)
    strange = np.array([[0, 0, 0, 0, 1.0]], dtype=np.float32)
    memory = adaptation.move(STATIC, memory, strange, np.zeros(1))
    assert len(memory["unknown"]) == 1
    assert memory["chosen"][0] == 2  # the third word, on the fifth axis
    logits = np.exp(np.array([0.0, 0.0, 1.0, 0.0]) / 0.2)
    # Beside the first chosen word, and beside both.
    names = logits[:2].sum()
    expected = (names / (names + logits[2]) + names / logits.sum()) / 2
    np.testing.assert_allclose(adaptation.score(STATIC, memory, strange, np.zeros(1)), expected, rtol=1e-6)


def test_steps_larger_than_the_words_take_all_words_at_once():
    whole, memory = TANL(step=100), TANL().start(STATIC, 0)
    z = np.array([[0.6, 0, 0.8, 0, 0]], dtype=np.float32)
    e = np.exp(z[0] / 0.2)
    expected = e[:2].sum() / e.sum()
    np.testing.assert_allclose(whole.score(STATIC, memory, z, np.zeros(1)), expected, rtol=1e-6)


def test_memory_is_bounded():
    adaptation = TANL(memory_size=2, gap=0.0)
    memory = adaptation.start(STATIC, 0)
    for _ in range(4):
        memory = adaptation.move(STATIC, memory, EYE, np.zeros(5))
    assert len(memory["known"]) <= 2
    assert len(memory["unknown"]) <= 2
