import copy

import numpy as np
import pytest

from skneg import (
    CalibrationWarning,
    KNNDetector,
    LinearProbeDetector,
    MaxLogitDetector,
    MCMDetector,
    ODINDetector,
    ScoreEnsemble,
    WordsDetector,
)
from skneg.errors import ImageError, InputError, InputTypeError, SknegError

from .conftest import KNOWN, STRANGE

NAMES = ["a", "b", "c"]
BANK = np.eye(3, 8, dtype=np.float32)


def draw(rng, n):
    """Noisy embeddings of the three classes, and their labels."""
    targets = rng.integers(3, size=n)
    return BANK[targets] + rng.normal(scale=0.3, size=(n, 8)), np.array(NAMES)[targets]


def fitted(kind=MCMDetector, n=100, **parameters):
    X, y = draw(np.random.default_rng(0), n)
    return kind(text_bank=BANK, **parameters).fit(X, y)


@pytest.fixture(scope="module")
def draws():
    """Decisions and p-values of new images, for 2,000 draws of calibration images."""
    rng = np.random.default_rng(1)
    detector = fitted(contamination=0.1)
    decisions, p_values = [], []
    for _ in range(2000):
        detector.calibrate(*draw(rng, 39))
        X, _ = draw(rng, 50)
        decisions.append(detector.decision_function(X))
        p_values.append(detector.p_values(X))
    return np.array(decisions), np.array(p_values)


class TestPromises:
    def test_the_false_alarm_rate_is_the_contamination_on_average(self, draws):
        rates = (draws[0] < 0).mean(axis=1)
        assert abs(rates.mean() - 0.1) < 3 * rates.std() / np.sqrt(len(rates))

    @pytest.mark.parametrize("a", [0.025, 0.05, 0.1, 0.33, 0.5, 0.9])
    def test_p_values_of_known_images_are_uniform(self, draws, a):
        rates = (draws[1] <= a + 1e-9).mean(axis=1)
        error = 3 * rates.std() / np.sqrt(len(rates))
        expected = np.floor(a * 40 + 1e-9) / 40  # p-values are multiples of 1 / 40
        assert rates.mean() < a + error
        assert abs(rates.mean() - expected) < error

    def test_p_values_decide_as_the_threshold_does(self, draws):
        np.testing.assert_array_equal(draws[0] < 0, draws[1] <= 0.1 + 1e-9)

    def test_p_values_of_a_twin_ensemble_are_the_detectors(self):
        X, _ = draw(np.random.default_rng(2), 50)
        detector = fitted()
        for method in ("p_value", "rank"):
            ensemble = ScoreEnsemble([detector, detector], method=method)
            np.testing.assert_allclose(ensemble.p_values(X), detector.p_values(X))

    @pytest.mark.parametrize("method", ["p_value", "rank"])
    @pytest.mark.parametrize("shared", [True, False])
    def test_p_values_of_ensembles_promise_as_much(self, method, shared):
        rng, rates = np.random.default_rng(3), []
        for _ in range(150):
            first = draw(rng, 39)
            second = first if shared else draw(rng, 39)
            members = [fitted().calibrate(*first), fitted(MaxLogitDetector).calibrate(*second)]
            ensemble = ScoreEnsemble(members, method=method, contamination=0.1)
            X, _ = draw(rng, 100)
            rates.append((ensemble.p_values(X) <= 0.1 + 1e-9).mean())
            if shared:
                np.testing.assert_array_equal(
                    ensemble.p_values(X) <= 0.1 + 1e-9, ensemble.decision_function(X) < 0
                )
        # The scale of ranks depends on the images too, by terms of the order of 1 / n.
        slack = 1 / 40 if method == "rank" else 0
        assert np.mean(rates) < 0.1 + slack + 3 * np.std(rates) / np.sqrt(len(rates))
        assert np.mean(rates) > 0.01


class TestCalibrate:
    def test_scores_are_kept_sorted_beside_the_threshold(self):
        detector = fitted(n=60)
        scores = detector.calibration_scores_
        expected = detector.score_samples(detector.calibration_embeddings_)
        np.testing.assert_array_equal(scores, np.sort(expected))
        assert scores.dtype == np.float64
        assert detector.offset_ == scores[2]  # the floor(0.05 * 61)-th

    def test_without_images_it_follows_changed_parameters(self):
        detector, expected = fitted(), fitted(score_temperature=0.1, contamination=0.2)
        assert detector.set_params(score_temperature=0.1, contamination=0.2).calibrate() is detector
        assert detector.offset_ == expected.offset_
        np.testing.assert_array_equal(detector.calibration_scores_, expected.calibration_scores_)

    def test_with_images_it_equals_a_fit_on_them_of_what_learns_nothing(self):
        X, y = draw(np.random.default_rng(5), 80)
        detector, expected = fitted().calibrate(X, y), MCMDetector(text_bank=BANK).fit(X, y)
        assert detector.offset_ == expected.offset_
        assert detector.calibration_names_ == expected.calibration_names_ == y.tolist()
        unlabelled = fitted().calibrate(X)
        assert unlabelled.offset_ == detector.offset_
        assert unlabelled.calibration_names_ is None

    def test_unknown_rows_are_not_used(self):
        rng = np.random.default_rng(6)
        X, y = draw(rng, 40)
        mixed = np.concatenate([rng.normal(size=(20, 8)), X])
        labels = np.concatenate([["unknown"] * 20, y])
        assert fitted().calibrate(mixed, labels).offset_ == fitted().calibrate(X, y).offset_

    def test_nothing_is_trained(self, embedded):
        X, y = embedded
        detector = LinearProbeDetector(calibration="train", random_state=0).fit(X[:60], y[:60])
        before = detector.score_samples(X)
        detector.calibrate(X[60:], y[60:])
        np.testing.assert_array_equal(detector.score_samples(X), before)
        assert len(detector.calibration_scores_) == 60

    def test_pixels_are_kept_where_they_are_needed(self, scenes):
        X, y = scenes
        detector = ODINDetector(model="skneg-tiny").fit(X[:60], y[:60]).calibrate(X[60:], y[60:])
        assert detector.calibration_embeddings_.shape[0] == 60
        assert detector.offset_ == ODINDetector(model="skneg-tiny").fit(X[60:], y[60:]).offset_

    def test_the_threshold_follows_new_names_exactly(self, embedded):
        X, y = embedded
        detector = MCMDetector(model="skneg-tiny").fit(X[:60], y[:60]).calibrate(X[60:], y[60:])
        expected = MCMDetector(model="skneg-tiny").fit(X[60:], y[60:])
        for names in ([*KNOWN, *STRANGE], KNOWN[:4], STRANGE):
            assert copy.deepcopy(detector).set_vocabulary(names).offset_ == pytest.approx(
                copy.deepcopy(expected).set_vocabulary(names).offset_, abs=1e-9
            )

    def test_members_of_an_ensemble_are_calibrated_on_the_same_images(self):
        rng = np.random.default_rng(7)
        members = [fitted(), fitted(MaxLogitDetector).calibrate(*draw(rng, 50))]
        before = [member.offset_ for member in members]
        X, y = draw(rng, 60)
        ensemble = ScoreEnsemble(members).calibrate(X, y)
        assert [member.offset_ for member in members] == before
        expected = ScoreEnsemble([fitted().calibrate(X, y), fitted(MaxLogitDetector).calibrate(X, y)])
        assert ensemble.offset_ == expected.offset_
        np.testing.assert_array_equal(ensemble.score_samples(X), expected.score_samples(X))
        with pytest.raises(InputError, match="the ensemble's contamination=0.01: at least 99"):
            ensemble.set_params(contamination=0.01).calibrate(X, y)


class TestRefusals:
    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"rows": 18}, InputError, "18 images of known classes.*at least 19 are needed"),
            ({"y": ["unknown"] * 30}, InputError, "0 images of known classes.*at least 19"),
            ({"y": ["a"] * 7 + ["fish"] * 23}, InputError, "'fish' in row 7.*set_vocabulary"),
            ({"y": ["a"] * 29}, InputError, "30 images, 29 labels"),
            ({"y": list(range(30))}, InputTypeError, "labels such as 0; this detector's are such as 'a'"),
            ({"X": np.ones((30, 7))}, InputError, "7"),
            ({"X": None}, InputError, "y or groups without X"),
            ({"contamination": 0}, InputError, "contamination"),
            ({"score_temperature": -1}, InputError, "score_temperature"),
        ],
    )
    def test_it_is_typed_and_changes_nothing(self, change, error, message):
        X, y = draw(np.random.default_rng(8), change.pop("rows", 30))
        X, y = change.pop("X", X), change.pop("y", y)
        detector = fitted().set_params(**change)
        state = dict(vars(detector))
        with pytest.raises(error, match=message):
            detector.calibrate(X, y)
        assert vars(detector) == state

    def test_an_unreadable_image_changes_nothing(self, scenes):
        X, y = scenes
        detector = MCMDetector(model="skneg-tiny").fit(X, y)
        state = dict(vars(detector))
        with pytest.raises(ImageError, match="image 3 "):
            detector.calibrate([*X[:3], b"broken", *X[4:30]], y[:30])
        assert vars(detector) == state

    def test_too_few_kept_images_are_refused_as_well(self):
        detector = fitted(n=60).set_params(contamination=0.01)
        with pytest.raises(InputError, match="60 calibration images.*at least 99"):
            detector.calibrate()

    def test_holding_out_too_few_is_refused_and_auto_holds_nothing_out(self, embedded):
        X, y = embedded
        with pytest.raises(InputError, match="holds out 12 of 60 images.*needs 19.*calibration='cross'"):
            LinearProbeDetector(calibration="holdout").fit(X[:60], y[:60])
        assert len(LinearProbeDetector().fit(X[:60], y[:60]).calibration_scores_) == 60
        with pytest.warns(CalibrationWarning, match="comes from 12 images.*at least 19"):
            few = MCMDetector(model="skneg-tiny").fit(X[:12], class_names=KNOWN)
        assert few.offset_ == few.calibration_scores_[0]


def test_a_notebook_shows_what_was_fitted(embedded):
    X, y = embedded
    detector = MCMDetector(model="skneg-tiny")
    assert "not fitted" in detector._repr_html_()
    y = np.where(y == "star", "<b>star", y)
    names = {label: "star" if label == "<b>star" else label for label in np.unique(y)}
    page = detector.fit(X, y, class_names=names)._repr_html_()
    assert f"{len(X)} images set the threshold" in page
    assert "sk-container" in page or "sk-top-container" in page
    named = MCMDetector(model="skneg-tiny").fit(X, y)._repr_html_()
    assert "&lt;b&gt;star" in named
    assert "<b>star" not in named


def test_verbose_logs_one_line_at_the_end_of_fit(embedded, caplog):
    caplog.set_level("INFO", "skneg")
    MCMDetector(model="skneg-tiny").fit(*embedded)
    assert caplog.messages == []
    MCMDetector(model="skneg-tiny", verbose=True).fit(*embedded)
    (line,) = caplog.messages
    assert line.startswith("MCMDetector with skneg-tiny; ")
    assert "Fitted in" in line


def test_parameters_that_are_set_after_fit_are_checked_once_before_they_act(embedded, monkeypatch):
    X, y = embedded
    detector = KNNDetector().fit(X, y)
    answers = detector.predict(X)
    for name, value in {"n_neighbors": -1, "contamination": "x", "verbose": np.ones(2)}.items():
        usual = detector.get_params()[name]
        for set_it in (lambda n, v: detector.set_params(**{n: v}), lambda n, v: setattr(detector, n, v)):
            set_it(name, value)
            for call in (detector.predict, detector.explain, detector.calibrate):
                with pytest.raises(SknegError, match=f"^{name} must"):
                    call(X)
            set_it(name, usual)
        np.testing.assert_array_equal(detector.predict(X), answers)
    words = WordsDetector(model="skneg-tiny").fit(X, y)
    with pytest.raises(SknegError, match="^fraction must"):  # a part of a parameter
        words.set_params(words__fraction=5).predict(X)
    before = dict(vars(detector))
    monkeypatch.setattr(KNNDetector, "_check_parameters", lambda self: pytest.fail("checked again"))
    detector.predict(X)
    assert vars(detector) == before
