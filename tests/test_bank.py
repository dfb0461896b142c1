"""The text bank: shapes, parts of it, scores in blocks."""

import numpy as np
import pytest

from skneg import _utils
from skneg.bank import TextBank
from skneg.errors import InputError


@pytest.fixture
def bank():
    rng = np.random.default_rng(0)
    positive, negative, words = rng.normal(size=(3, 4)), rng.normal(size=(2, 3, 4)), rng.normal(size=(5, 4))
    return TextBank.of_contexts(positive, negative, words), negative


def test_negatives_are_class_major(bank):
    bank, contexts = bank
    for i in range(3):
        np.testing.assert_array_equal(bank.negative[2 * i : 2 * i + 2], contexts[:, i])


def test_a_part_keeps_the_negatives_of_its_classes_and_all_words(bank):
    bank, contexts = bank
    part = bank.take([2, 0])
    np.testing.assert_array_equal(part.positive, bank.positive[[2, 0]])
    np.testing.assert_array_equal(part.negative, np.concatenate([contexts[:, 2], contexts[:, 0]]))
    np.testing.assert_array_equal(part.common, bank.common)


def test_negatives_of_no_class_stay_whole_in_a_part():
    bank = TextBank(np.eye(3), np.ones((4, 3)))
    np.testing.assert_array_equal(bank.take([1]).negative, bank.negative)


@pytest.mark.parametrize("cells", [1, 30, 10**6])
def test_blocks_of_any_size_give_the_same_scores(bank, cells, monkeypatch):
    monkeypatch.setattr(_utils, "_CELLS", cells)
    Z = np.random.default_rng(1).normal(size=(11, 4))
    found = bank[0].score(Z, lambda p, n, w: p.max(axis=1) - n.sum(axis=1) + w.min(axis=1))
    one, other, words = (Z @ part.T for part in (bank[0].positive, bank[0].negative, bank[0].common))
    np.testing.assert_allclose(found, one.max(axis=1) - other.sum(axis=1) + words.min(axis=1))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((np.ones(3), np.ones((1, 3))), "positive must be a 2-D array, got 1-D"),
        ((np.eye(3), np.ones((1, 2))), "positive has 3 columns, negative 2"),
        ((np.eye(3), np.ones((4, 3)), 2), "3 classes with 2 negatives each need 6 rows, negative has 4"),
    ],
)
def test_parts_that_do_not_fit_are_named(parts, message):
    with pytest.raises(InputError, match=message):
        TextBank(*parts)
