import numpy as np
import pytest

from skneg.errors import InputError
from skneg.metrics import auroc, auroc_difference


def test_the_interval_is_delongs_by_hand():
    # Shares of OOD images below 2, 4, 6: first 0, 1/2, 1; other 1, 1/2, 0. Differences -1, 0, 1: variance 1.
    # Shares of ID images above the two OOD images: first 2/3, 1/3; other 1/3, 2/3. Variance 2/9.
    found = auroc_difference([2, 4, 6], [3, 5], [6, 4, 2], [5, 3])
    assert found.difference == pytest.approx(0)
    assert found.standard_error == pytest.approx(np.sqrt(1 / 3 + 1 / 9))
    assert (found.low, found.high) == pytest.approx((-1.959964 * 2 / 3, 1.959964 * 2 / 3))


@pytest.fixture
def scored():
    random = np.random.RandomState(0)
    known, strange = np.round(random.randn(150) + 1, 1), np.round(random.randn(90), 1)  # with ties
    return known, strange, known + random.randn(150), strange + random.randn(90)


def ordered_pairs(known, strange):
    return np.heaviside(np.subtract.outer(known, strange), 0.5)


def test_the_difference_is_that_of_the_aurocs(scored):
    known, strange, known_other, strange_other = scored
    found = auroc_difference(*scored)
    assert found.difference == pytest.approx(auroc(known, strange) - auroc(known_other, strange_other))
    back = auroc_difference(known_other, strange_other, known, strange)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))


def test_the_standard_error_is_that_of_a_paired_bootstrap(scored):
    random = np.random.RandomState(1)
    known, strange, known_other, strange_other = scored
    first, other = ordered_pairs(known, strange), ordered_pairs(known_other, strange_other)

    def drawn(pairs, rows):
        return pairs[np.ix_(*rows)].mean()

    paired, unpaired = [], []
    for _ in range(500):
        rows, others = [(random.randint(150, size=150), random.randint(90, size=90)) for _ in range(2)]
        paired.append(drawn(first, rows) - drawn(other, rows))
        unpaired.append(drawn(first, rows) - drawn(other, others))
    error = auroc_difference(*scored).standard_error
    assert error == pytest.approx(np.std(paired), rel=0.1)
    assert error < 0.9 * np.std(unpaired)


def test_one_order_of_the_images_has_no_difference(scored):
    known, strange = scored[:2]
    assert auroc_difference(known, strange, 3 * known, 3 * strange) == (0, 0, 0, 0)


def test_a_higher_confidence_is_a_wider_interval(scored):
    narrow, wide = auroc_difference(*scored, confidence=0.5), auroc_difference(*scored, confidence=0.99)
    assert wide.low < narrow.low < narrow.difference < narrow.high < wide.high


@pytest.mark.parametrize(
    ("scores", "confidence", "message"),
    [
        (([1, 2], [0, 1], [1, 2, 3], [0, 1]), 0.95, "scores_id and other_id.*2 and 3"),
        (([1, 2], [0, 1], [1, 2], [0]), 0.95, "scores_ood and other_ood.*2 and 1"),
        (([1, 2], [0], [1, 2], [0]), 0.95, "scores_ood holds one image"),
        (([1, 2], [0, 1], [1, np.nan], [0, 1]), 0.95, "other_id holds NaN"),
        (([1, 2], [0, 1], [1, 2], [0, 1]), 1.0, "confidence must lie in"),
    ],
)
def test_what_cannot_be_compared_is_refused(scores, confidence, message):
    with pytest.raises(InputError, match=message):
        auroc_difference(*scores, confidence=confidence)
