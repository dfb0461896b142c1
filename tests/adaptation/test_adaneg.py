"""AdaNeg's memory and score, by hand."""

import numpy as np
import pytest

from skneg import TextBank
from skneg._state import FittedState
from skneg.adaptation import AdaNeg, Static
from skneg.errors import InputError
from skneg.vocabulary import Vocabulary

EYE = np.eye(4, dtype=np.float32)
STATE = FittedState(
    Vocabulary(np.array(["a", "b"]), ("a", "b")),
    None,
    0.01,
    {},
    {"text_bank_": TextBank(EYE[:2], EYE[2:])},
)
STATIC = Static(None, STATE, EYE, np.arange(4.0), np.zeros(4, dtype=int), np.arange(4))


def unit(*rows):
    rows = np.array(rows, dtype=np.float64)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def share(cosines, temperature):
    e = np.exp(np.array(cosines) / temperature)
    return e[:2].sum() / e.sum()


def test_confident_images_join_their_label_and_move_its_proxy():
    adaptation = AdaNeg(n_groups=1, temperature=0.1)
    memory = adaptation.start(STATIC, 0)
    sure, unsure, strange = unit([3, 0, 0, 1]), unit([1, 0, 1, 0]), unit([0, 1, 0, 3])
    memory = adaptation.move(STATIC, memory, np.concatenate([sure, unsure, strange]), np.zeros(3))
    word = 2 + int(np.flatnonzero(memory["order"] == 1)[0])
    assert memory["labels"].tolist() == [0, word]
    np.testing.assert_array_equal(memory["images"], np.concatenate([sure, strange]))
    z = unit([1, 2, 1, 1])
    proxies = EYE.astype(np.float64)
    proxies[0] += sure[0]
    proxies[3] += strange[0]
    proxies /= np.linalg.norm(proxies, axis=1, keepdims=True)
    expected = share(z[0] @ proxies.T, 0.1) + 0.1 * share(z[0], 0.1)
    np.testing.assert_allclose(adaptation.score(STATIC, memory, z, np.zeros(1)), expected, rtol=1e-5)


def test_in_a_full_label_the_largest_entropy_gives_way():
    adaptation = AdaNeg(n_images=1, n_groups=1, temperature=0.3, gap=0.0)
    memory = adaptation.start(STATIC, 0)
    images = unit([3, 1, 0, 0], [9, 1, 0, 0], [5, 1, 0, 0])
    memory = adaptation.move(STATIC, memory, images, np.zeros(3))
    np.testing.assert_array_equal(memory["images"], images[1:2])


@pytest.mark.parametrize(
    ("name", "value"),
    [("threshold", 1), ("gap", 1), ("n_images", 0), ("text_weight", -1), ("n_groups", 0), ("temperature", 0)],
)
def test_parameters_that_are_not_usable_are_refused_by_name(name, value):
    with pytest.raises(InputError, match=name):
        AdaNeg(**{name: value}).check()
