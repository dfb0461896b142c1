"""How a detector's state is made."""

import numpy as np
import pytest

from skneg import CalibrationWarning, KNNDetector, LinearProbeDetector, MCMDetector
from skneg._fitting import calibration_scores, check_answers
from skneg.errors import InputError, PersistenceError

from .conftest import KNOWN, STRANGE
from .test_base import BANK, fitted


def test_rows_that_set_the_threshold_are_not_trained_on(embedded):
    detector = KNNDetector(n_neighbors=1, calibration=0.5, random_state=0).fit(*embedded)
    # Of its own nearest neighbour, an image that was trained on would have a distance of 0.
    assert len(detector.calibration_scores_) == 60
    assert detector.calibration_scores_.max() < -1e-4


def test_the_seed_decides_which_rows_set_the_threshold(embedded):
    first, again, other = (
        LinearProbeDetector(calibration=0.5, random_state=seed).fit(*embedded) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.calibration_embeddings_, again.calibration_embeddings_)
    assert not np.array_equal(first.calibration_embeddings_, other.calibration_embeddings_)


def test_images_of_a_class_that_is_gone_are_scored_with_it_added():
    detector = fitted()
    state, images = detector._state, detector.calibration_embeddings_
    names = detector.calibration_names_
    gone = np.array(names) == "c"
    fewer = state.with_classes(["a", "b"], {**state.model, "text_bank_": state.text_bank_.take([0, 1])})
    found, whole = (
        calibration_scores(detector, fewer, images, names),
        detector._score(fewer, images),
    )
    np.testing.assert_allclose(found[gone], detector._score(state, images)[gone])
    np.testing.assert_array_equal(found[~gone], whole[~gone])
    assert (found[gone] != whole[gone]).all()


def test_a_state_whose_scores_are_not_finite_is_refused():
    detector = fitted()
    detector._state.text_bank_.positive[0, 0] = np.nan
    with pytest.raises(PersistenceError, match="not finite"):
        check_answers(detector, detector._state)


def test_no_images_are_refused_before_the_labels():
    with pytest.raises(InputError, match="0 sample"):
        MCMDetector(text_bank=BANK).fit(np.empty((0, 8)), [])


class TestVocabularyWithoutLabels:
    def test_more_classes_need_no_guess(self, embedded):
        labelled = MCMDetector(model="skneg-tiny").fit(*embedded)
        unlabelled = MCMDetector(model="skneg-tiny").fit(embedded[0], class_names=sorted(KNOWN))
        names = [*KNOWN, *STRANGE]
        assert unlabelled.set_vocabulary(names).offset_ == labelled.set_vocabulary(names).offset_

    def test_where_classes_go_it_warns_and_guesses(self, embedded):
        X, y = embedded
        labelled = MCMDetector(model="skneg-tiny").fit(X, y)
        unlabelled = MCMDetector(model="skneg-tiny").fit(X, class_names=sorted(KNOWN))
        nearest = labelled.classes_[labelled.predict_proba(X).argmax(axis=1)]
        assert (nearest == y).mean() > 0.95
        with pytest.warns(CalibrationWarning, match="guess.*calibrate\\(X\\)"):
            unlabelled.set_vocabulary(STRANGE)
        assert unlabelled.calibration_names_ == nearest.tolist()
        assert unlabelled.offset_ == pytest.approx(labelled.set_vocabulary(STRANGE).offset_, abs=1e-3)

    def test_where_nothing_is_left_it_says_how_to_recalibrate(self):
        detector = fitted()
        before = detector.offset_
        with pytest.warns(CalibrationWarning, match="stays as it was.*Call calibrate"):
            detector.set_vocabulary(["d", "e"], text_bank=BANK[:2])
        assert detector.offset_ == before
        X = np.repeat(BANK[:2], 20, axis=0)
        assert detector.calibrate(X, np.repeat(["d", "e"], 20)).offset_ != before
