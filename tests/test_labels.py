"""Which meta-estimators of scikit-learn get the right labels, and which are refused with the way out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.model_selection import cross_val_predict

from skneg import KNNDetector, MCMDetector
from skneg.errors import InputError, VocabularyError

from .conftest import KNOWN

SORTED = sorted(KNOWN)


def mcm(**parameters):
    return MCMDetector(model="skneg-tiny", contamination=0.1, **parameters)


def voting(detector):
    return VotingClassifier([("a", detector), ("b", detector)], voting="soft")


def stacking(detector):
    return StackingClassifier([("a", detector)], cv=3)


@pytest.mark.parametrize("kind", [np.array, tuple, iter, lambda names: (name for name in names)])
def test_names_in_any_sequence_beside_unknown_rows(kind, embedded):
    X, y = embedded
    numbers = np.where(np.arange(len(y)) < 5, -1, np.searchsorted(SORTED, y))
    assert mcm().fit(X, numbers, kind(SORTED)).class_names_ == SORTED


class TestNumberedLabels:
    """Labels that scikit-learn has numbered: the names must be in the order of the numbers.

    https://github.com/scikit-learn/scikit-learn/issues/12189
    """

    @pytest.mark.parametrize("wrap", [voting, BaggingClassifier, stacking])
    def test_sorted_names_are_right(self, wrap, embedded):
        X, y = embedded
        assert (wrap(mcm(class_names=SORTED)).fit(X, y).predict(X) == y).mean() > 0.8

    @pytest.mark.parametrize("wrap", [voting, BaggingClassifier, stacking])
    def test_others_are_refused_before_training(self, wrap, embedded):
        with pytest.raises(VocabularyError, match=r"numbered.*class_names\[0\] is .*sorted"):
            wrap(mcm(class_names=SORTED[::-1])).fit(*embedded)
        with pytest.raises(VocabularyError, match="numbered.*give class_names to the constructor"):
            wrap(mcm()).fit(*embedded)
        with pytest.raises(VocabularyError, match="numbered.*give class_names to the constructor"):
            wrap(mcm(class_names={name: f"one {name}" for name in SORTED})).fit(*embedded)

    @settings(max_examples=20, deadline=None)
    @given(st.permutations(SORTED))
    def test_any_order_is_right_or_refused(self, embedded, names):
        X, y = embedded
        model = voting(mcm(class_names=names))
        if list(names) == SORTED:
            assert (model.fit(X, y).predict(X) == y).mean() > 0.8
            return
        with pytest.raises(VocabularyError, match="sorted"):
            model.fit(X, y)

    def test_cross_val_predict_numbers_them_for_posteriors_only(self, embedded):
        X, y = embedded
        p = cross_val_predict(mcm(class_names=SORTED), X, y, method="predict_proba", cv=3)
        assert (np.array(SORTED)[p.argmax(axis=1)] == y).mean() > 0.8
        assert (cross_val_predict(mcm(class_names=SORTED[::-1]), X, y, cv=3) == y).mean() > 0.7
        with pytest.raises(VocabularyError, match="numbered"):
            cross_val_predict(mcm(class_names=SORTED[::-1]), X, y, method="predict_proba", cv=3)

    def test_names_for_labels_that_are_no_names_stand_in_sorted_order(self, embedded):
        X, y = embedded
        codes = np.array([f"n{SORTED.index(name):03}" for name in y])
        model = voting(mcm(class_names=SORTED)).fit(X, codes)
        assert (model.predict(X) == codes).mean() > 0.8

    def test_a_row_labelled_unknown_would_be_a_class(self, embedded):
        X, y = embedded
        y = np.where(np.arange(len(y)) < 5, "unknown", y)
        with pytest.raises(InputError, match="'unknown' with them"):
            voting(KNNDetector()).fit(X, y)

    def test_numbers_stay_what_they_are(self, embedded):
        X, y = embedded
        numbers = np.array([SORTED[::-1].index(name) for name in y])
        model = voting(mcm(class_names=SORTED[::-1])).fit(X, numbers)
        assert (model.predict(X) == numbers).mean() > 0.8

    def test_who_reads_no_names_needs_none(self, embedded):
        X, y = embedded
        assert (voting(KNNDetector(random_state=0)).fit(X, y).predict(X) == y).mean() > 0.8


def test_counted_votes_need_detectors_that_never_say_unknown(embedded):
    X, y = embedded
    hard = VotingClassifier([("a", mcm(class_names=SORTED))], voting="hard")
    with pytest.raises(InputError, match="voting='soft'"):
        hard.fit(X, y)
    hard = VotingClassifier([("a", mcm(class_names=SORTED, unknown_label=None))], voting="hard")
    assert (hard.fit(X, y).predict(X) == y).mean() > 0.8
