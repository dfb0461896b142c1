"""More images for a fitted detector: new classes, known ones, what stays and what the threshold does."""

import warnings
from functools import partial

import numpy as np
import pytest

from skneg import (
    CalibrationWarning,
    KNNDetector,
    MahalanobisDetector,
    MCMDetector,
    NegPromptDetector,
    ScoreEnsemble,
)
from skneg.errors import InputError, InputWarning, VocabularyError
from skneg.evidence import ImageEvidence

from .conftest import KNOWN, with_recipe
from .evidence.data import clusters

WithoutText = partial(NegPromptDetector, evidence="images")


@pytest.fixture(scope="module")
def drawn():
    """Images of six classes: to fit, to add, and new ones."""
    X, y = clusters([60] * 6, spread=0.4)
    turn = np.arange(len(y)) % 6
    return [(X[part], y[part].astype(str)) for part in (turn < 2, turn == 2, turn > 2)]


@pytest.mark.parametrize("kind", [KNNDetector, MahalanobisDetector, WithoutText])
class TestNewClasses:
    def test_they_are_known_and_the_threshold_holds(self, kind, drawn):
        (X, y), (more, of_more), (new, of_new) = drawn
        first = y < "4"
        detector = kind(random_state=0, contamination=0.1).fit(X[first], y[first])
        late = of_more >= "4"
        detector.set_vocabulary(list("012345"), more[late], of_more[late])
        assert (detector.predict(new) == of_new)[detector.decision_function(new) >= 0].mean() > 0.95
        rejected = detector.decision_function(new) < 0
        assert rejected[of_new >= "4"].mean() < 0.25
        assert rejected[of_new < "4"].mean() < 0.25
        assert set(detector.calibration_names_) == set("012345")

    def test_nothing_is_left_of_a_failure(self, kind, drawn):
        (X, y), (more, of_more), _ = drawn
        detector = kind(random_state=0).fit(X, y)
        state = detector._state
        for X_, y_, error in ((more, of_more[:5], InputError), (more, ["fish"] * len(more), InputError),
                              (None, of_more, InputError), (more[:0], [], InputError)):  # fmt: skip
            with pytest.raises(error):
                detector.set_vocabulary(list("012345"), X_, y_)
        assert detector._state is state

    def test_without_images_of_a_new_class_it_is_refused(self, kind, drawn):
        X, y = drawn[0]
        with pytest.raises(VocabularyError, match="'cat'"):
            kind(random_state=0).fit(X, y).set_vocabulary([*"012345", "cat"])


class TestMore:
    def test_means_are_those_of_all_images(self, drawn):
        (X, y), (more, of_more), _ = drawn
        detector = WithoutText(random_state=0).fit(X, y)
        whitener, before = detector.joint_score_.images.whitener, detector.joint_score_.images
        detector.add_images(more, of_more)
        after = detector.joint_score_.images
        assert after.whitener is whitener
        assert (after.counts == before.counts + 10).all()
        of_all = np.stack([np.concatenate([X[y == c], more[of_more == c]]).mean(axis=0) for c in "012345"])
        np.testing.assert_allclose(after.means, (of_all - before.centre) @ whitener, atol=1e-4)
        assert len(detector.calibration_names_) == len(y) + len(of_more)

    def test_each_is_judged_without_itself_and_its_group(self):
        X, y = clusters([6, 7])
        Z, own = clusters([4, 4], seed=0)
        groups = np.array([0, 0, 1, 2, 3, 3, 4, 5])
        images = ImageEvidence.of(X, y)
        _, evidence = images.add(Z, own, groups)
        for i in range(8):
            rest = groups != groups[i]
            expected = images.add(Z[rest], own[rest])[0](Z[i : i + 1])[0]
            assert evidence[i, own[i]] == pytest.approx(expected[own[i]], abs=1e-4)
        new, alone = images.add(Z[:1], np.array([2]))
        assert np.isnan(alone[0, 2])
        assert np.isfinite(new(Z)).all()

    def test_copies_in_one_group_do_not_vouch_for_each_other(self, drawn):
        (X, y), (more, of_more), _ = drawn
        first, late = y < "5", of_more == "5"
        copies = more[late].repeat(4, axis=0)[:20], of_more[late].repeat(4)[:20]
        alone, grouped = (
            KNNDetector(n_neighbors=1, random_state=0).fit(X[first], y[first]).set_vocabulary(
                list("012345"), *copies, groups=groups)
            for groups in (None, np.arange(20) // 4)
        )  # fmt: skip
        assert grouped.calibration_scores_.mean() < alone.calibration_scores_.mean() - 0.01

    def test_text_alone_takes_them_for_the_threshold(self, embedded):
        X, y = embedded
        detector = MCMDetector(model="skneg-tiny").fit(X[:60], y[:60])
        scores = detector.score_samples(X)
        detector.add_images(X[60:], y[60:])
        np.testing.assert_array_equal(detector.score_samples(X), scores)
        np.testing.assert_array_equal(detector.calibration_scores_, np.sort(scores))

    def test_labels_are_needed_on_both_sides(self, embedded):
        X, y = embedded
        detector = MCMDetector(model="skneg-tiny").fit(X[:60], class_names=KNOWN)
        with pytest.raises(InputError, match="have no labels, so others"):
            detector.add_images(X[60:], y[60:])
        with pytest.raises(InputError, match="requires y"):
            detector.add_images(X[60:], None)

    def test_members_of_an_ensemble_take_them_all(self, drawn):
        (X, y), (more, of_more), _ = drawn
        first = y < "5"
        ensemble = ScoreEnsemble([KNNDetector(random_state=0), WithoutText(random_state=0)])
        ensemble.fit(X[first], y[first]).set_vocabulary(list("012345"), more, of_more)
        assert ensemble.classes_.tolist() == list("012345")


class TestWordsAndImages:
    @pytest.fixture
    def detector(self, embedded):
        X, y = embedded
        first = np.isin(y, KNOWN[:4])
        quick = with_recipe(
            NegPromptDetector, positive_steps=2, negative_steps=2, model="skneg-tiny", random_state=0
        )
        return quick.fit(X[first], y[first])

    def test_a_class_without_images_counts_as_usual_and_a_warning_says_so(self, detector, embedded):
        X, y = embedded
        with pytest.warns(CalibrationWarning, match="2 of 6 classes have no images, 'star' among them"):
            detector.set_vocabulary(KNOWN)
        _, _, evidence = detector._parts(detector._state, X)
        assert np.isnan(evidence[:, 4:]).all()
        assert np.isfinite(detector.score_samples(X)).all()
        rejected = detector.decision_function(X[np.isin(y, KNOWN[4:])]) < 0
        assert rejected.mean() < 0.2
        assert detector.predict_proba(X).sum() == pytest.approx(len(X))
        assert np.isfinite(detector._class_scores(detector._state, X)).all()
        assert set(detector.explain(X[:9]).image_class) <= set(KNOWN[:4])

    def test_with_images_there_is_nothing_to_warn_of(self, detector, embedded):
        X, y = embedded
        late = np.isin(y, KNOWN[4:])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            detector.set_vocabulary(KNOWN, X[late][:30], y[late][:30])
        assert sorted(detector.joint_score_.names) == sorted(KNOWN)
        assert (detector.predict(X[late][30:]) == y[late][30:]).mean() > 0.7


class TestAfterImagesThatAreKnownToBeUnknown:
    @pytest.fixture(params=[{"accepted": 0.1}, {"cost": 1.0}, {"cost": 1e-6}], ids=str)
    def detector(self, request, embedded):
        detector = MCMDetector(model="skneg-tiny").fit(*embedded)
        return detector.calibrate_unknown(-embedded[0][:20], **request.param)

    def test_a_threshold_that_is_lost_is_told(self, detector, embedded):
        with pytest.warns(CalibrationWarning, match="that of calibrate_unknown is lost"):
            detector.add_images(embedded[0][:5], embedded[1][:5])

    def test_it_is_told_once(self, detector, embedded):
        with pytest.warns(CalibrationWarning, match="is lost: call it anew"):
            detector.set_vocabulary(detector.class_names_)
        detector.add_images(embedded[0][:5], embedded[1][:5])  # a warning would be an error


def test_of_one_class_images_without_a_label_are_of_it(embedded):
    X = embedded[0][embedded[1] == "star"]
    detector = KNNDetector(random_state=0, contamination=0.2).fit(X[:10], ["star"] * 10).calibrate(X[10:16])
    detector.add_images(X[16:], ["star"] * len(X[16:]))
    assert len(detector.train_embeddings_) == 10 + len(X[16:])


class TestLabelsThatAreNumbers:
    @pytest.fixture
    def detector(self, embedded):
        X, y = embedded
        number = {name: 5 + i for i, name in enumerate(KNOWN)}
        names = {label: name for name, label in number.items()}
        return MCMDetector(model="skneg-tiny").fit(X, [number[name] for name in y], class_names=names)

    def test_a_class_that_stays_under_another_number_is_told(self, detector):
        with pytest.warns(InputWarning, match=r"'anchor' was 5 and is 0 from now on.*mapping"):
            detector.set_vocabulary([*KNOWN, "fish"])

    def test_a_mapping_keeps_its_labels(self, detector):
        names = dict(zip(detector.classes_.tolist(), detector.class_names_, strict=True))
        assert detector.set_vocabulary({**names, 11: "fish"}).classes_.tolist() == [*range(5, 12)]
