"""What adaptations have in common."""

import numpy as np
import pytest
from sklearn.base import clone

from skneg import KNNDetector, TextBank, WordsDetector
from skneg.adaptation import TANL, Adaptation, NearestUnknown, Static
from skneg.adaptation._adaptation import alike, fields_fit
from skneg.errors import InputError


def test_p_values_of_known_images_are_conformal():
    known = Static(None, None, np.eye(3), np.array([1.0, 2.0, 3.0]), np.zeros(3), np.arange(3))
    np.testing.assert_array_equal(known.p_values(np.array([0.5, 2.0, 9.0])), [0.25, 0.75, 1.0])
    assert known.spread == np.std([1.0, 2.0, 3.0])
    assert Static(None, None, np.eye(2), np.array([1.0, 1.0]), np.zeros(2), np.arange(2)).spread == 1.0


def test_words_are_all_negatives_that_belong_to_no_class():
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(40, 8))
    bank = TextBank(*(rng.normal(size=(n, 8)).astype(np.float32) for n in (2, 5)))
    detector = WordsDetector(text_bank=bank, class_names=["a", "b"]).fit(Z)
    positive, words = Static(detector, detector._fitted(), Z, Z[:, 0], None, None).texts
    assert positive.shape == (2, 8)
    assert words.shape == (5, 8)
    knn = KNNDetector().fit(Z, np.arange(40) % 2)
    with pytest.raises(InputError, match="has none: take WordsDetector"):
        _ = Static(knn, knn._fitted(), Z, Z[:, 0], None, None).texts


def test_a_memory_fits_another_of_the_same_kinds_and_widths():
    like = {"images": np.empty((3, 4), dtype=np.float32), "n": 1}
    assert fields_fit({"images": np.zeros((9, 4), dtype=np.float32), "n": 5}, like)
    for wrong in (
        {"images": like["images"]},
        {"images": np.zeros((9, 5), dtype=np.float32), "n": 5},
        {"images": np.zeros((9, 4)), "n": 5},
        {"images": [[1.0]], "n": 5},
        {"images": like["images"], "n": 5.0},
    ):
        assert not fields_fit(wrong, like)


class Weighted(Adaptation):
    def __init__(self, weights=None):
        self.weights = weights


def test_parameters_of_ones_own_may_be_arrays():
    own = Weighted(np.array([1.0, 2.0]))
    assert alike(own, clone(own))
    for other in (Weighted(np.array([1.0, 3.0])), Weighted(), Weighted("a"), NearestUnknown()):
        assert not alike(own, other)
    assert alike(TANL(gap=0.1), TANL(gap=0.1))
    assert not alike(TANL(gap=0.1), TANL())


@pytest.mark.parametrize(
    "adaptation",
    [
        NearestUnknown(weight=-1),
        NearestUnknown(share=1.5),
        NearestUnknown(memory_size=0),
        NearestUnknown(memory_size=2.5),
        TANL(n_words=0),
        TANL(gap=1),
        TANL(step=0),
        TANL(memory_size=True),
    ],
)
def test_parameters_that_are_not_usable_are_refused_by_name(adaptation):
    changed = next(k for k, v in adaptation.get_params().items() if v != type(adaptation)().get_params()[k])
    with pytest.raises(InputError, match=changed):
        adaptation.check()


def test_an_adaptation_of_ones_own_says_how_to_move():
    with pytest.raises(NotImplementedError):
        Adaptation().move(None, {}, None, None)
