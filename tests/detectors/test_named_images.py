import numpy as np
import pytest

from skneg import COOkeDDetector, TextBank, TipAdapterDetector
from skneg.errors import InputError, VocabularyError

from ..conftest import random_unit

pytestmark = pytest.mark.filterwarnings("ignore:labels and names agree")  # of random images

RNG = np.random.default_rng(0)
BANK, X = random_unit(RNG, 4), random_unit(RNG, 80)
Y = np.tile(list("abcd"), 20)


@pytest.mark.parametrize("kind", [TipAdapterDetector, COOkeDDetector])
class TestEveryOne:
    def test_a_class_needs_images_beside_its_name(self, kind):
        with pytest.raises(VocabularyError, match=f"'e' has no images, and {kind.__name__} knows a class"):
            kind(text_bank=np.vstack([BANK, X[:1]])).fit(
                X, np.searchsorted(list("abcd"), Y), class_names=list("abcde")
            )
        detector = kind(text_bank=BANK, random_state=0).fit(X, Y)
        with pytest.raises(VocabularyError, match=f"{kind.__name__} knows classes by .* none of 'e'"):
            detector.set_vocabulary(list("abce"), text_bank=BANK)

    def test_a_new_class_comes_with_name_and_images(self, kind):
        first = kind(text_bank=BANK[:3], random_state=0, contamination=0.1).fit(X[Y != "d"], Y[Y != "d"])
        first.set_vocabulary(list("abcd"), X[Y == "d"], Y[Y == "d"], text_bank=TextBank.from_positives(BANK))
        order = np.concatenate([np.flatnonzero(Y != "d"), np.flatnonzero(Y == "d")])
        whole = kind(text_bank=BANK, random_state=0, contamination=0.1).fit(X[order], Y[order])
        np.testing.assert_allclose(first.score_samples(X), whole.score_samples(X), rtol=1e-3, atol=1e-3)

    def test_one_class_is_refused(self, kind):
        with pytest.raises(VocabularyError, match="at least 2 classes, got 1"):
            kind(text_bank=BANK[:1]).fit(X, np.full(80, "a"))

    def test_a_fold_with_all_images_of_a_class_sets_no_threshold(self, kind):
        # Class d comes in two films that show class a too; by some seeds both are in one fold.
        groups = np.arange(80)
        groups[Y == "d"], groups[[0, 4]] = np.where(np.arange(20) < 10, 100, 101), [100, 101]
        counts = set()
        for seed in range(12):
            detector = kind(text_bank=BANK, random_state=seed, contamination=0.2).fit(X, Y, groups=groups)
            counts.add(len(detector.calibration_scores_))
        assert max(counts) == 80
        assert min(counts) < 60

    def test_images_of_classes_that_are_gone_set_no_threshold(self, kind):
        detector = kind(text_bank=BANK, calibration="train").fit(X, Y)
        detector.set_vocabulary(list("abc"), text_bank=BANK[:3])
        assert len(detector.calibration_scores_) == 60

    def test_parameters_are_checked(self, kind):
        with pytest.raises(InputError, match="contamination"):
            kind(text_bank=BANK, contamination=3).fit(X, Y)
