from functools import partial

import numpy as np
import pytest

from skneg import MaxLogitDetector

from ..conftest import random_unit

RNG = np.random.default_rng(0)


unit = partial(random_unit, RNG)


BANK, X = unit(5), unit(60)
NAMES = list("abcde")


def test_the_score_is_the_largest_cosine():
    detector = MaxLogitDetector(text_bank=BANK).fit(X, class_names=NAMES)
    expected = [max(float(np.dot(x, text)) for text in BANK) for x in X.astype(np.float64)]
    np.testing.assert_allclose(detector.score_samples(X), expected, atol=1e-6)


def test_the_length_of_embeddings_and_texts_does_not_count():
    detector = MaxLogitDetector(text_bank=3 * BANK).fit(X, class_names=NAMES)
    np.testing.assert_allclose(detector.score_samples(0.1 * X), (X @ BANK.T).max(axis=1), atol=1e-6)


@pytest.mark.parametrize("kept", [[0, 1, 2, 3], [4, 0]])
def test_classes_other_than_the_nearest_do_not_count(kept):
    y = np.array(NAMES)[(X @ BANK.T).argmax(axis=1)]
    nearest_stays = np.isin(y, [NAMES[i] for i in kept])
    # No threshold is asked for here: with few images left, a small one would warn.
    detector = MaxLogitDetector(text_bank=BANK, contamination=0.3).fit(X, y)
    before = detector.score_samples(X)
    detector.set_vocabulary([NAMES[i] for i in kept], text_bank=BANK[kept])
    after = detector.score_samples(X)
    np.testing.assert_allclose(after[nearest_stays], before[nearest_stays], atol=1e-6)
    assert (after[~nearest_stays] < before[~nearest_stays]).all()
