"""How a detector's state is made."""

from functools import partial

import numpy as np
import pytest

import skneg
from skneg import (
    CalibrationWarning,
    CLIPImageEncoder,
    KNNDetector,
    LinearProbeDetector,
    MahalanobisDetector,
    MCMDetector,
    NegPromptDetector,
    ReActDetector,
)
from skneg._fitting import calibration_scores, check_answers
from skneg.errors import InputError, PersistenceError
from skneg.evidence import folds

from .conftest import KNOWN, STRANGE
from .evidence.data import clusters
from .test_base import BANK, NAMES, draw, fitted

WithoutText = partial(NegPromptDetector, evidence="images")


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


class TestGroups:
    """Copies, crops and frames of one film stay on one side."""

    GROUPS = np.arange(120) // 3

    def test_groups_are_held_out_whole_and_one_image_of_each_sets_the_threshold(self, embedded):
        X, y = embedded
        detector = KNNDetector(calibration=0.6, random_state=0).fit(X, y, groups=self.GROUPS)
        row_of = {row.tobytes(): i for i, row in enumerate(X)}
        trained, held = (
            [self.GROUPS[row_of[row.tobytes()]] for row in part]
            for part in (detector.train_embeddings_, detector.calibration_embeddings_)
        )
        assert len(set(held)) == len(held) == 24
        assert not set(trained) & set(held)
        assert len(trained) == 120 - 3 * 24

    def test_copies_do_not_make_the_threshold_strict(self, embedded):
        X, y = (part.repeat(3, axis=0) for part in embedded)
        X = X + np.random.default_rng(0).normal(scale=1e-3, size=X.shape)  # exact ones need no groups
        groups = np.arange(120).repeat(3)
        alone = KNNDetector(n_neighbors=1, random_state=0).fit(X, y)
        together = KNNDetector(n_neighbors=1, random_state=0).fit(X, y, groups=groups)
        plain = KNNDetector(n_neighbors=1, random_state=0).fit(*embedded)
        assert alone.offset_ > together.offset_ == pytest.approx(plain.offset_, rel=0.2)

    def test_calibrate_takes_one_image_of_each(self, embedded):
        X, y = embedded
        detector = MCMDetector(model="skneg-tiny").fit(X, y, groups=self.GROUPS)
        assert len(detector.calibration_scores_) == 40
        detector.calibrate(X, y, groups=np.arange(120) // 6)
        assert len(detector.calibration_scores_) == len(detector.calibration_names_) == 20
        with pytest.raises(InputError, match="15 groups of known classes are too few"):
            detector.calibrate(X, y, groups=np.arange(120) // 8)

    @pytest.mark.parametrize(
        ("groups", "message"),
        [(np.arange(5), "groups have different lengths: 120 images, 5"), ([None] * 120, "groups must hold")],
    )
    def test_what_cannot_be_groups_is_refused(self, embedded, groups, message):
        with pytest.raises(InputError if len(groups) == 5 else TypeError, match=message):
            KNNDetector(random_state=0).fit(*embedded, groups=groups)


class TestLabelSets:
    def coverage(self, kind, by_class, seed):
        X, y = clusters([60] * 4, seed=seed, spread=0.6)
        train = np.arange(len(y)) % 3 == 0
        detector = kind(random_state=seed, contamination=0.2).fit(X[train], y[train])
        sets = detector.predict_set(X[~train], alpha=0.2, by_class=by_class)
        return sets[np.arange(len(sets)), y[~train]].mean(), sets.sum(axis=1).mean()

    @pytest.mark.parametrize("kind", [KNNDetector, LinearProbeDetector, WithoutText])
    @pytest.mark.parametrize("by_class", [False, True])
    def test_they_hold_the_right_class_about_as_often_as_promised(self, kind, by_class):
        covered, size = np.mean([self.coverage(kind, by_class, seed) for seed in range(10)], axis=0)
        assert 0.7 < covered < 0.93
        assert 0.6 < size < 2.5

    @pytest.mark.filterwarnings("ignore:X lies far")
    def test_what_is_like_no_class_gets_the_empty_set(self):
        X, y = clusters([40] * 3)
        detector = WithoutText(random_state=0).fit(X, y)
        assert not detector.predict_set(-X).any()
        assert detector.predict_set(X).any(axis=1).mean() > 0.9

    @pytest.mark.filterwarnings("ignore:X lies far")
    def test_a_class_of_few_images_is_never_left_out(self):
        X, y = clusters([40, 5])
        detector = KNNDetector(random_state=0).fit(X, y)
        with pytest.warns(CalibrationWarning, match="1 classes, '1' with 5 images among them, have too few"):
            sets = detector.predict_set(-X, by_class=True)
        assert sets[:, 1].all()
        with pytest.warns(CalibrationWarning, match="45 images are too few for alpha=0.01"):
            assert detector.predict_set(-X, alpha=0.01).all()

    @pytest.mark.filterwarnings("ignore:120 images of X")
    def test_labels_are_needed(self, embedded):
        detector = KNNDetector(random_state=0).fit(*embedded).calibrate(embedded[0])
        with pytest.raises(InputError, match="images without labels: calibrate"):
            detector.predict_set(embedded[0])
        with pytest.raises(InputError, match="alpha"):
            detector.predict_set(embedded[0], alpha=1)


class TestUnknownImages:
    def test_they_set_the_threshold_and_a_file_keeps_it(self, embedded, strange_scenes, tmp_path):
        X, y = embedded
        strange = CLIPImageEncoder(model="skneg-tiny").transform(strange_scenes)
        detector = KNNDetector(random_state=0).fit(X, y)
        before, p_values = detector.offset_, detector.p_values(strange)
        table = np.concatenate([X[:9], strange]), [*y[:9], *["unknown"] * len(strange)]
        detector.calibrate_unknown(*table, accepted=0.1)
        assert (detector.predict(strange) != "unknown").mean() <= 0.1
        assert detector.offset_ != before
        np.testing.assert_array_equal(detector.p_values(strange), p_values)
        detector.save(tmp_path / "d.skneg")
        assert skneg.load(tmp_path / "d.skneg").offset_ == detector.offset_
        dear = detector.calibrate_unknown(strange, cost=100).offset_
        assert dear >= detector.calibrate_unknown(strange, cost=0.01).offset_
        assert detector.calibrate().offset_ == before

    def test_without_one_it_is_refused(self, embedded):
        detector = KNNDetector(random_state=0).fit(*embedded)
        with pytest.raises(InputError, match="no row is labelled with unknown_label, 'unknown'"):
            detector.calibrate_unknown(*embedded, cost=1)


def rejected(detector, new):
    return (detector.decision_function(new) < 0).mean()


@pytest.fixture(scope="module")
def drawn():
    X, y = clusters([40] * 8, spread=0.5)
    train = np.arange(len(y)) % 2 == 0
    return X[train], y[train].astype(str), X[~train], y[~train].astype(str)


class TestCrossFittedAgain:
    """Where all training images are kept, a change of what scores depend on is cross-fitted anew."""

    @pytest.mark.parametrize(
        ("kind", "change"),
        [
            (KNNDetector, {"n_neighbors": 1}),
            (LinearProbeDetector, {"score_func": "energy"}),
            (LinearProbeDetector, {"score_temperature": 5.0}),
        ],
    )
    def test_by_calibrate_after_a_change_of_the_score(self, kind, change, drawn):
        X, y, _, _ = drawn
        detector = kind(random_state=0, contamination=0.1).fit(X, y)
        afresh = kind(random_state=0, contamination=0.1, **change).fit(X, y)
        assert detector.set_params(**change).calibrate().offset_ == pytest.approx(afresh.offset_, rel=1e-6)

    @pytest.mark.parametrize("kind", [KNNDetector, LinearProbeDetector, MahalanobisDetector])
    def test_by_set_vocabulary(self, kind, drawn):
        X, y, new, of_new = drawn
        few = ["0", "1"]
        ours = np.isin(y, few)
        detector = kind(random_state=0, contamination=0.1).fit(X, y).set_vocabulary(few)
        afresh = kind(random_state=0, contamination=0.1).fit(X[ours], y[ours])
        assert (
            abs(rejected(detector, new[np.isin(of_new, few)]) - rejected(afresh, new[np.isin(of_new, few)]))
            < 0.15
        )
        detector.add_images(new[np.isin(of_new, few)][:6], of_new[np.isin(of_new, few)][:6])
        detector.set_vocabulary(sorted(set(y)))
        assert set(detector.calibration_names_) == set(y)
        assert len(detector.calibration_scores_) == len(y) + 6

    def test_groups_of_fit_are_remembered(self, drawn):
        X, y, more, of_more = drawn
        X, y, groups = X.repeat(4, axis=0), y.repeat(4), np.arange(len(y)).repeat(4)
        first = y < "7"
        apart = KNNDetector(n_neighbors=2, random_state=0).fit(X[first], y[first], groups=groups[first])
        apart.set_vocabulary(sorted(set(y)), more[of_more == "7"], of_more[of_more == "7"])
        assert np.median(apart.calibration_scores_) < -0.1

    def test_more_images_after_one_of_a_class_set_a_threshold(self, drawn):
        X, y, new, _ = drawn
        one = np.unique(y, return_index=True)[1]
        with pytest.warns(CalibrationWarning, match="no image has another of its class"):
            detector = KNNDetector(n_neighbors=1, contamination=0.2, random_state=0).fit(X[one], y[one])
        rest = np.setdiff1d(np.arange(len(y)), one)
        detector.add_images(X[rest], y[rest])
        assert rejected(detector, new) < 0.35


def test_names_without_images_are_in_every_fold_of_a_method_that_reads_names():
    X, y = draw(np.random.default_rng(0), 60)
    keep = y != "c"
    detector = ReActDetector(text_bank=BANK, random_state=0, contamination=0.1).fit(
        X[keep], np.searchsorted(NAMES, y[keep]), class_names=NAMES
    )
    assert len(detector.calibration_scores_) == keep.sum()


@pytest.mark.filterwarnings("ignore:rows 0 and 40 are the same image")
def test_a_mate_of_another_class_does_not_vouch_either():
    X, y = clusters([20, 20])
    twins = np.full(len(X), 2)  # of one group each with the image that they are copies of, in a rare class
    twins[1:] = np.arange(1, len(X)) % 2
    X, y, groups = np.concatenate([X, X]), np.concatenate([y, twins]), np.tile(np.arange(40), 2)
    detector = KNNDetector(n_neighbors=1, random_state=0).fit(X, y, groups=groups)
    assert detector.calibration_scores_.max() < -1e-3


def test_few_groups_warn_and_few_films_are_shared_out():
    X, y = clusters([40, 40])
    groups = np.arange(80) // 20
    with pytest.warns(CalibrationWarning, match="comes from 4 groups of images.*19 groups would be needed"):
        detector = KNNDetector(random_state=0).fit(X, y, groups=groups)
    assert len(detector.calibration_scores_) == 80
    for seed in range(20):
        of_films = np.random.default_rng(0).integers(2, size=80)
        fold = folds(y, 2, np.random.RandomState(seed), of_films)
        assert set(fold) == {0, 1}


def test_groups_may_be_any_numbers(embedded):
    groups = np.arange(120) // 3 + 0.37
    assert len(KNNDetector(random_state=0).fit(*embedded, groups=groups).calibration_scores_) == 120


def test_a_new_class_that_sets_no_threshold_is_told(embedded):
    X, y = embedded
    first = np.flatnonzero(y != "star")
    detector = KNNDetector(random_state=0).fit(X[first], y[first])
    star = np.flatnonzero(y == "star")[:1]
    with pytest.warns(CalibrationWarning, match="no image of 'star' has set the threshold .1 of 6 classes"):
        detector.set_vocabulary(KNOWN, X[star], y[star])
