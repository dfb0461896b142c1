from itertools import pairwise

import numpy as np
import pytest

from skneg.datasets import sample_shots
from skneg.errors import InputError

LABELS = np.repeat(["cat", "dog", "owl"], [20, 16, 18])
KEYS = [f"{label}/{i}.jpg" for i, label in enumerate(LABELS)]


def keys_of(rows, keys=KEYS):
    return {keys[row] for row in rows}


@pytest.mark.parametrize("seed", range(3))
def test_samples_of_one_seed_are_nested(seed):
    samples = [keys_of(sample_shots(LABELS, n, keys=KEYS, random_state=seed)) for n in (1, 2, 4, 8, 16)]
    assert [len(sample) for sample in samples] == [3, 6, 12, 24, 48]
    assert all(few < many for few, many in pairwise(samples))


def test_every_class_has_as_many():
    rows = sample_shots(LABELS, 4, keys=KEYS)
    assert LABELS[rows].tolist() == ["cat"] * 4 + ["dog"] * 4 + ["owl"] * 4
    assert len(set(rows.tolist())) == 12


def test_the_order_of_the_files_does_not_matter():
    order = np.random.default_rng(0).permutation(len(LABELS))
    shuffled = [KEYS[i] for i in order]
    again = sample_shots(LABELS[order], 4, keys=shuffled)
    assert keys_of(again, shuffled) == keys_of(sample_shots(LABELS, 4, keys=KEYS))


def test_a_class_is_drawn_alike_whatever_the_others_are():
    alone = LABELS == "dog"
    own = [key for key, keep in zip(KEYS, alone, strict=True) if keep]
    dogs = keys_of(sample_shots(LABELS[alone], 4, keys=own), own)
    assert dogs < keys_of(sample_shots(LABELS, 4, keys=KEYS))


def test_seeds_differ():
    assert keys_of(sample_shots(LABELS, 4, keys=KEYS)) != keys_of(
        sample_shots(LABELS, 4, keys=KEYS, random_state=1)
    )


def test_a_class_with_too_few_images_is_named():
    with pytest.raises(InputError, match="'dog' has 16 images, fewer than shots=17"):
        sample_shots(LABELS, 17, keys=KEYS)


@pytest.mark.parametrize("shots", [0, 1.5, True])
def test_shots_that_are_no_count_are_refused(shots):
    with pytest.raises(InputError, match="shots"):
        sample_shots(LABELS, shots)


def test_two_images_with_one_key_are_refused():
    with pytest.raises(InputError, match="'cat'"):
        sample_shots(LABELS, 2, keys=["same"] * len(LABELS))
