import copy
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

import skneg
from skneg import (
    CalibrationWarning,
    EnergyDetector,
    KNNDetector,
    MaxLogitDetector,
    MCMDetector,
    MSPDetector,
    SknegError,
)
from skneg.detectors._ensemble import ScoreEnsemble
from skneg.detectors._members import combine
from skneg.detectors._zoc import ZOCDetector
from skneg.errors import InputError, InputTypeError, VocabularyError
from skneg.metrics import auroc
from skneg.threshold import relative_ranks

from ..backbone.test_timm import saved
from ..conftest import KNOWN, STRANGE

KINDS = (MCMDetector, MSPDetector, EnergyDetector)
METHODS = ("p_value", "rank")


def fit_members(embedded, kinds=KINDS, **parameters):
    return [kind(model="skneg-tiny", **parameters).fit(*embedded) for kind in kinds]


@pytest.fixture(scope="module")
def members(embedded):
    return fit_members(embedded)


@pytest.fixture(scope="module")
def strange(strange_scenes, members):
    return members[0]._embed(strange_scenes)


def fish_everywhere(images):
    return [["fish", "crown"]] * len(images)


class TestScore:
    def test_p_values_in_closed_form(self, members, embedded, strange):
        X = np.concatenate([embedded[0], strange])
        expected = np.zeros(len(X))
        for member in members:
            own = member.score_samples(member.calibration_embeddings_)
            for row, score in enumerate(member.score_samples(X)):
                expected[row] += (1 + sum(c <= score for c in own)) / (len(own) + 1) / len(members)
        np.testing.assert_allclose(ScoreEnsemble(members).score_samples(X), expected, atol=1e-12)

    @pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
    def test_ranks_in_closed_form(self, scale):
        reference = scale * np.array([1.0, 2.0, 2.0, 4.0])  # places 1, 2.5, 2.5, 4 of 5
        scores = scale * np.array([1.0, 1.5, 2.0, 3.0, 4.0, 0.0, 6.0])
        below, above = 0.2 / (1 + 1 / 1), 1 - 0.2 / (1 + 2 / 2)  # the median is 2
        expected = [0.2, 0.35, 0.5, 0.65, 0.8, below, above]
        np.testing.assert_allclose(relative_ranks(scores, reference), expected, rtol=1e-12)

    def test_ranks_are_lost_nowhere(self):
        rng = np.random.default_rng(0)
        reference = np.sort(rng.normal(size=50))
        scores = np.concatenate([-np.logspace(6, 0.6, 50), np.linspace(-3, 3, 50), np.logspace(0.6, 6, 50)])
        ranks = relative_ranks(scores, reference)
        assert (np.diff(ranks) > 0).all()
        assert ranks.min() > 0
        assert ranks.max() < 1

    def test_equal_calibration_scores_have_relative_ranks(self):
        np.testing.assert_allclose(
            relative_ranks(np.array([1.0, 2.0, 3.0]), np.full(9, 2.0)), [0.25, 0.5, 0.75]
        )

    @pytest.mark.parametrize("method", METHODS)
    def test_scores_do_not_depend_on_the_batch(self, members, embedded, method):
        ensemble = ScoreEnsemble(members, method=method)
        whole = ensemble.score_samples(embedded[0])
        alone = np.concatenate([ensemble.score_samples(row[None]) for row in embedded[0]])
        # A rounding error can carry a score over a calibration score: one place for each member.
        np.testing.assert_allclose(alone, whole, atol=1.01 / 121)

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("temperature", [1e-3, 1e4])
    def test_extreme_temperatures(self, embedded, strange, method, temperature):
        members = fit_members(embedded, (MCMDetector, MSPDetector), score_temperature=temperature)
        ensemble = ScoreEnsemble(members, method=method)
        scores = ensemble.score_samples(np.concatenate([embedded[0], strange]))
        assert ((scores > 0) & (scores < 1 + 1e-12)).all()
        assert auroc(scores[: len(embedded[0])], scores[len(embedded[0]) :]) > 0.6

    @pytest.mark.parametrize("method", METHODS)
    def test_an_ensemble_of_one_decides_as_its_member(self, members, embedded, strange, method):
        X = np.concatenate([embedded[0], strange])
        for member in members:
            alone = ScoreEnsemble([member], method=method)
            np.testing.assert_array_equal(alone.predict(X), member.predict(X))

    def test_rank_of_one_keeps_the_order_of_its_member(self, members, embedded, strange):
        alone = ScoreEnsemble(members[:1], method="rank")
        single = members[0]
        assert auroc(alone.score_samples(embedded[0]), alone.score_samples(strange)) == pytest.approx(
            auroc(single.score_samples(embedded[0]), single.score_samples(strange))
        )


class TestThreshold:
    def test_split_conformal_promise_holds_for_dependent_and_independent_members(self):
        # Scores of a calibration set and one new image, drawn from one distribution: over many draws
        # the share of rejections must not pass the contamination, and not fall far below it.
        rng = np.random.default_rng(0)
        for shared in (0.0, 0.9):
            rejected = 0
            for _ in range(1000):
                common = rng.normal(size=(1, 59))
                draws = shared * common + np.sqrt(1 - shared**2) * rng.normal(size=(3, 59))
                ensemble = ScoreEnsemble([MCMDetector()], contamination=0.1)
                scale = ensemble._make_scale(members_with(draws[:, :39]), all_used=True)
                scores = combine(draws[:, 39:], scale.references, "p_value")
                rejected += (scores < scale.offset).mean() / 1000
            # One standard error is about 0.002.
            assert 0.1 - 1 / 40 - 0.006 < rejected < 0.1 + 0.006

    def test_other_images_set_the_contamination_itself(self, embedded, members):
        X, y = embedded
        halves = [
            MCMDetector(model="skneg-tiny").fit(X[::2], y[::2]),
            EnergyDetector(model="skneg-tiny").fit(X[1::2], y[1::2]),
        ]
        ensemble = ScoreEnsemble(halves, contamination=0.1)
        assert ensemble.offset_ == pytest.approx(0.1)
        assert ScoreEnsemble(members, contamination=0.1).offset_ != pytest.approx(0.1, abs=1e-6)
        together = ScoreEnsemble([kind(model="skneg-tiny") for kind in KINDS[:2]], contamination=0.1)
        assert together.fit(X, y).offset_ != pytest.approx(0.1, abs=1e-6)

    @pytest.mark.parametrize("method", METHODS)
    def test_too_few_images_warn(self, embedded, method):
        X, y = (part[::8] for part in embedded)
        with pytest.warns(CalibrationWarning):
            few = [MCMDetector(model="skneg-tiny").fit(X, y)]
        with pytest.warns(CalibrationWarning, match="ensemble's threshold comes from 15 images"):
            offset = ScoreEnsemble(few, method=method).offset_
        assert offset <= ScoreEnsemble(few, method=method, contamination=0.5).offset_

    def test_a_change_of_a_member_is_noticed(self, embedded, strange):
        members = fit_members(embedded)
        ensemble = ScoreEnsemble(members)
        before = ensemble.score_samples(strange)
        members[0].set_params(score_temperature=0.01)
        fresh = ScoreEnsemble(members).score_samples(strange)
        np.testing.assert_array_equal(ensemble.score_samples(strange), fresh)
        assert (fresh != before).any()


def members_with(scores):
    """Members with given scores of the same calibration images."""
    return SimpleNamespace(
        detectors=list(scores),
        facts=lambda: [],
        calibration_scores=lambda: list(scores),
        same_images=lambda: True,
    )


class TestPredicting:
    @pytest.mark.parametrize("method", METHODS)
    def test_fitted_members_need_no_fit(self, members, embedded, strange, method):
        ensemble = ScoreEnsemble(members, method=method)
        check_is_fitted(ensemble)
        X = np.concatenate([embedded[0], strange])
        answers, decision = ensemble.predict(X), ensemble.decision_function(X)
        assert ensemble.classes_.tolist() == sorted(KNOWN)
        assert ensemble.unknown_label_ == "unknown"
        np.testing.assert_array_equal(answers == "unknown", decision < 0)
        np.testing.assert_allclose(ensemble.score_samples(X) - ensemble.offset_, decision)
        assert (decision[: len(embedded[0])] < 0).mean() <= 0.05
        assert (answers == "unknown").any()
        known = decision >= 0
        best = ensemble.classes_[ensemble.predict_proba(X).argmax(axis=1)]
        np.testing.assert_array_equal(answers[known], best[known])

    def test_images_and_embeddings_score_alike(self, members, scenes, embedded):
        ensemble = ScoreEnsemble(members, method="rank")
        np.testing.assert_allclose(
            ensemble.score_samples(scenes[0]), ensemble.score_samples(embedded[0]), atol=1e-5
        )

    def test_members_that_see_more_than_embeddings(self, scenes):
        zoc = ZOCDetector(model="skneg-tiny", candidate_labels=fish_everywhere).fit(*scenes)
        mcm = MCMDetector(model="skneg-tiny").fit(*scenes)
        ensemble = ScoreEnsemble([mcm, zoc], contamination=0.1)
        assert ensemble.offset_ != pytest.approx(0.1, abs=1e-6)  # the same images
        assert ensemble.predict(scenes[0][:5]).shape == (5,)

    def test_integer_labels_and_no_unknown_label(self, embedded):
        X, y = embedded
        numbers = np.searchsorted(sorted(KNOWN), y).astype(np.uint8)
        members = [k(model="skneg-tiny").fit(X, numbers, class_names=sorted(KNOWN)) for k in KINDS]
        answers = ScoreEnsemble(members, contamination=0.3).predict(X)
        assert answers.dtype.kind == "i"
        assert set(answers) == {-1, *range(len(KNOWN))}
        never = fit_members(embedded, unknown_label=None)
        assert set(ScoreEnsemble(never, contamination=0.9).predict(X)) <= set(KNOWN)


class TestFitting:
    def test_fit_fits_clones(self, members, embedded):
        unfitted = [kind(model="skneg-tiny") for kind in KINDS]
        ensemble = ScoreEnsemble(unfitted).fit(*embedded)
        assert not any(hasattr(detector, "classes_") for detector in unfitted)
        expected = ScoreEnsemble(members)
        np.testing.assert_array_equal(
            ensemble.score_samples(embedded[0]), expected.score_samples(embedded[0])
        )
        assert ensemble.offset_ == expected.offset_

    def test_class_names_reach_the_members(self, embedded):
        ensemble = ScoreEnsemble([kind(model="skneg-tiny") for kind in KINDS])
        ensemble.fit(embedded[0], class_names=STRANGE)
        assert ensemble.classes_.tolist() == sorted(STRANGE)

    def test_clone_needs_fit(self, members, embedded):
        copied = clone(ScoreEnsemble(members, method="rank", contamination=0.1))
        assert (copied.method, copied.contamination) == ("rank", 0.1)
        assert not hasattr(copied, "classes_")
        assert not hasattr(copied, "offset_")
        with pytest.raises(NotFittedError):
            check_is_fitted(copied)
        for method in ("predict", "predict_proba", "score_samples", "decision_function", "set_vocabulary"):
            with pytest.raises(NotFittedError, match=r"detectors\[0\] \(MCMDetector\).*call fit"):
                getattr(copied, method)(embedded[0])
        assert copied.fit(*embedded).classes_.tolist() == sorted(KNOWN)

    def test_pickle(self, members, embedded):
        ensemble = ScoreEnsemble(members)
        expected = ensemble.score_samples(embedded[0])
        again = pickle.loads(pickle.dumps(ensemble))
        np.testing.assert_array_equal(again.score_samples(embedded[0]), expected)

    def test_predicting_after_fit_changes_no_attribute(self, embedded):
        ensemble = ScoreEnsemble([kind(model="skneg-tiny") for kind in KINDS]).fit(*embedded)
        before = dict(vars(ensemble))
        ensemble.predict(embedded[0])
        assert vars(ensemble) == before


class TestVocabulary:
    @pytest.mark.parametrize("method", METHODS)
    def test_all_members_move_and_the_given_ones_stay(self, members, embedded, strange, method):
        ensemble = ScoreEnsemble(members, method=method).set_vocabulary(STRANGE)
        assert ensemble.classes_.tolist() == sorted(STRANGE)
        assert all(member.classes_.tolist() == sorted(KNOWN) for member in members)
        assert ensemble.detectors == members
        moved = [copy.deepcopy(member).set_vocabulary(STRANGE) for member in members]
        expected = ScoreEnsemble(moved, method=method)
        np.testing.assert_array_equal(ensemble.score_samples(strange), expected.score_samples(strange))
        assert ensemble.offset_ == expected.offset_
        assert auroc(ensemble.score_samples(strange), ensemble.score_samples(embedded[0])) > 0.7

    def test_all_or_none(self, members, embedded):
        ready = MaxLogitDetector(text_bank=members[0].text_bank_).fit(*embedded)
        ensemble = ScoreEnsemble([*members, ready])
        before = ensemble.score_samples(embedded[0])
        with pytest.raises(VocabularyError, match="new names need new rows"):
            ensemble.set_vocabulary([*KNOWN, *STRANGE])
        assert all(member.classes_.tolist() == sorted(KNOWN) for member in ensemble._members().detectors)
        np.testing.assert_array_equal(ensemble.score_samples(embedded[0]), before)


class TestBadInput:
    @pytest.mark.parametrize(
        ("detectors", "message"),
        [
            ([], "at least one detector"),
            (None, "at least one detector"),
            (MCMDetector(), "list of at least one"),
            ([MCMDetector], r"detectors\[0\] is"),
            ([MCMDetector(), "mcm"], r"detectors\[1\] is 'mcm'"),
        ],
    )
    def test_what_is_no_list_of_detectors(self, embedded, detectors, message):
        for use in ("fit", "predict"):
            with pytest.raises(InputTypeError, match=message) as caught:
                getattr(ScoreEnsemble(detectors), use)(embedded[0])
            assert isinstance(caught.value, SknegError)

    @pytest.mark.parametrize(
        "parameter", [{"method": "mean"}, {"contamination": 0}, {"contamination": 1.5}], ids=str
    )
    def test_bad_parameters_are_named(self, members, embedded, parameter):
        for use in ("fit", "score_samples"):
            with pytest.raises(InputError, match=next(iter(parameter))):
                getattr(ScoreEnsemble(members, **parameter), use)(embedded[0])

    def test_a_failed_fit_changes_nothing(self, embedded):
        ensemble = ScoreEnsemble([kind(model="skneg-tiny") for kind in KINDS]).fit(*embedded)
        state = dict(vars(ensemble))
        with pytest.raises(InputError, match="120 images, 119 labels"):
            ensemble.fit(embedded[0], embedded[1][:-1])
        assert vars(ensemble) == state


def test_members_of_two_models_see_the_same_images(scenes, strange_scenes, tmp_path):
    model = f"timm:local-dir:{saved(tmp_path / 'model', 'test_convnext')}"
    X, y = scenes[0][:90], scenes[1][:90]
    both = ScoreEnsemble([MCMDetector(model="skneg-tiny"), KNNDetector(model=model, random_state=0)])
    both.fit(X, y)
    assert [member.backbone_ for member in both.detectors_] == ["skneg-tiny", model]
    assert both._all_used
    p = both.p_values(X)
    np.testing.assert_array_equal(p <= both.contamination, both.predict(X) == "unknown")
    expected = both.score_samples(strange_scenes[:9])
    alone = [member.p_values(strange_scenes[:9]) for member in both.detectors_]
    np.testing.assert_allclose(expected, np.mean(alone, axis=0))
    both.save(tmp_path / "both.skneg")
    np.testing.assert_array_equal(
        skneg.load(tmp_path / "both.skneg").score_samples(strange_scenes[:9]), expected
    )
