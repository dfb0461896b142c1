"""The table of docs/searches.md: what scikit-learn's tools make of a detector."""

import re
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV, CalibrationDisplay
from sklearn.ensemble import AdaBoostClassifier
from sklearn.feature_selection import RFE, SelectFromModel
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import DecisionBoundaryDisplay, partial_dependence, permutation_importance
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    DetCurveDisplay,
    PrecisionRecallDisplay,
    RocCurveDisplay,
    get_scorer,
    make_scorer,
    roc_auc_score,
)
from sklearn.model_selection import (
    FixedThresholdClassifier,
    TunedThresholdClassifierCV,
    cross_val_predict,
    learning_curve,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.semi_supervised import SelfTrainingClassifier

from skneg import KNNDetector, LinearProbeDetector, MahalanobisDetector, MCMDetector, ScoreEnsemble
from skneg.errors import InputError

from .conftest import KNOWN

matplotlib.use("Agg")
PAGE = (Path(__file__).parents[1] / "docs" / "searches.md").read_text()
SORTED = sorted(KNOWN)


def make(cls, **parameters):
    if cls is ScoreEnsemble:
        return ScoreEnsemble([make(MCMDetector, **parameters), make(KNNDetector)], contamination=0.1)
    own = {"class_names": SORTED, **parameters} if cls is MCMDetector else {"random_state": 0}
    return cls(model="skneg-tiny", contamination=0.1, **own)


def two_of(embedded):
    X, y = embedded
    rows = np.isin(y, SORTED[:2])
    return X[rows], y[rows]


def two_known(cls, embedded):
    X, y = two_of(embedded)
    return make(cls, class_names=SORTED[:2]).fit(X, y), X, y


DETECTORS = [MCMDetector, KNNDetector, MahalanobisDetector, LinearProbeDetector]
each = pytest.mark.parametrize("cls", DETECTORS)


def test_the_table_names_what_is_tested_here():
    table = PAGE[PAGE.index("| tool |") :]
    tools = set(
        re.findall(
            r"`([A-Z]\w+|[a-z]+(?:_[a-z]+)+)`", "".join(row.split("|")[1] for row in table.splitlines())
        )
    )
    source = Path(__file__).read_text() + Path(__file__).with_name("test_labels.py").read_text()
    source += Path(__file__).with_name("test_searches.py").read_text()
    assert {tool for tool in tools if tool not in source} == set()
    assert len(tools) > 20


@pytest.mark.parametrize("cls", [*DETECTORS, ScoreEnsemble])
@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
@pytest.mark.parametrize("n_classes", [2, 6])
def test_calibration_of_classes(cls, method, n_classes, embedded):
    X, y = two_of(embedded) if n_classes == 2 else embedded
    detector = make(cls, class_names=SORTED[:n_classes])
    plain = (detector.fit(X, y).predict_proba(X).argmax(axis=1) == np.searchsorted(SORTED, y)).mean()
    for model in (
        CalibratedClassifierCV(clone(detector), method=method, cv=3),
        CalibratedClassifierCV(FrozenEstimator(detector), method=method),
        CalibratedClassifierCV(make_pipeline(FunctionTransformer(), detector), method=method, cv=3),
    ):
        assert (model.fit(X, y).predict(X) == y).mean() >= plain - 0.1
        np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)


@each
def test_calibration_of_rows_labelled_unknown_is_refused(cls, embedded):
    # Two classes learned of three: https://github.com/scikit-learn/scikit-learn/issues/29551.
    X, y = embedded
    y = np.where(np.isin(y, SORTED[:2]), y, "unknown")
    with pytest.raises(InputError, match="leave these rows out"):
        CalibratedClassifierCV(make(cls, class_names=SORTED[:2]), cv=3).fit(X, y)


def test_a_new_vocabulary_is_sorted_as_scikit_learn_takes_it_to_be(embedded):
    X, y = two_of(embedded)
    detector = make(MCMDetector, class_names=SORTED[:2]).fit(X, y).set_vocabulary(SORTED[1::-1])
    assert get_scorer("roc_auc")(detector, X, y) > 0.95


def test_calibration_over_all_folds_numbers_labels(embedded):
    X, y = embedded
    model = CalibratedClassifierCV(make(MCMDetector), cv=3, ensemble=False)
    assert (model.fit(X, y).predict(X) == y).mean() > 0.8


@pytest.mark.parametrize("one", [OneVsRestClassifier, OneVsOneClassifier, OutputCodeClassifier])
def test_one_class_against_others(one, embedded):
    X, y = embedded
    assert (one(make(LinearProbeDetector)).fit(X, y).predict(X) == y).mean() > 0.8
    with pytest.raises(InputError, match="names are lost"):
        one(make(MCMDetector)).fit(X, y)


@each
@pytest.mark.parametrize("scoring", ["roc_auc", "roc_auc_ovr", "neg_log_loss", "average_precision"])
def test_scorers_of_classes(cls, scoring, embedded):
    detector, X, y = two_known(cls, embedded)
    numbers = np.searchsorted(SORTED, y)
    detector.fit(X, numbers)
    assert get_scorer(scoring)(detector, X, numbers) > (-0.7 if scoring == "neg_log_loss" else 0.95)


def test_ranks_of_many_classes(embedded):
    X, y = embedded
    numbers = np.searchsorted(SORTED, y)
    assert get_scorer("top_k_accuracy")(make(MCMDetector).fit(X, numbers), X, numbers) > 0.9


def test_who_asks_for_decision_function_by_name_gets_it(embedded):
    X, y = embedded
    known = SORTED[:3]
    detector = make(MCMDetector, class_names=known)
    detector.fit(X[np.isin(y, known)], y[np.isin(y, known)])

    def known_before_unknown(labels, scores):
        return roc_auc_score(np.isin(labels, known), scores)

    by_name = make_scorer(known_before_unknown, response_method="decision_function")
    assert by_name(detector, X, y) == roc_auc_score(np.isin(y, known), detector.decision_function(X))
    assert hasattr(detector, "decision_function")


@pytest.mark.parametrize(
    "display", [RocCurveDisplay, PrecisionRecallDisplay, DetCurveDisplay, CalibrationDisplay]
)
def test_curves_of_two_classes(display, embedded):
    detector, X, y = two_known(MCMDetector, embedded)
    drawn = display.from_estimator(detector, X, y)
    if display is RocCurveDisplay:
        expected = roc_auc_score(y, detector.predict_proba(X)[:, 1])
        assert np.ravel(drawn.roc_auc)[0] == pytest.approx(expected)


def test_confusion_has_a_column_of_unknown(embedded, strange_scenes):
    X, y = embedded
    drawn = ConfusionMatrixDisplay.from_estimator(make(MCMDetector).fit(X, y), X, y)
    assert "unknown" in drawn.display_labels.tolist()


def test_boundaries_of_classes_and_of_the_known(embedded):
    X, y = embedded
    flat = X[:, :2] * 100
    detector = KNNDetector(random_state=0, contamination=0.1).fit(flat, y)
    drawn = DecisionBoundaryDisplay.from_estimator(detector, flat, grid_resolution=5)
    assert drawn.response.ndim == 3  # a posterior for each class
    drawn = DecisionBoundaryDisplay.from_estimator(
        detector, flat, grid_resolution=5, response_method="decision_function"
    )
    assert drawn.response.ndim == 2


def test_importance_and_dependence_of_columns(embedded):
    X, y = embedded
    detector = KNNDetector(random_state=0, contamination=0.1).fit(X, y)
    assert (
        permutation_importance(detector, X[:, :], y, n_repeats=1, max_samples=30).importances.shape[0]
        == X.shape[1]
    )
    assert partial_dependence(detector, X, [0], grid_resolution=3)["average"].shape == (6, 3)


def test_thresholds_between_two_classes(embedded):
    X, y = two_of(embedded)
    numbers = np.searchsorted(SORTED, y)
    detector = make(MCMDetector, class_names=SORTED[:2])
    for model in (TunedThresholdClassifierCV(detector, cv=3), FixedThresholdClassifier(detector)):
        assert (model.fit(X, numbers).predict(X) == numbers).mean() > 0.9


def test_self_training(embedded):
    X, y = embedded
    numbers = np.searchsorted(SORTED, y)
    some = np.where(np.arange(len(y)) % 3 == 0, -1, numbers)
    model = SelfTrainingClassifier(make(MCMDetector, unknown_label=None), threshold=0.9)
    assert (model.fit(X, some).predict(X) == numbers).mean() > 0.8


def test_learning_curves_and_folds(embedded):
    X, y = embedded
    test = learning_curve(make(MCMDetector), X, y, cv=2, train_sizes=[0.5, 1.0], scoring="id_accuracy")[2]
    assert test.mean() > 0.8
    assert (cross_val_predict(make(KNNDetector), X, y, cv=3) == y).mean() > 0.7


def test_refused_by_scikit_learn(embedded):
    X, y = embedded
    with pytest.raises(ValueError, match="doesn't support sample_weight"):
        AdaBoostClassifier(make(KNNDetector)).fit(X, y)
    for tool in (RFE, SelectFromModel):
        with pytest.raises((ValueError, AttributeError), match="coef_"):
            tool(make(KNNDetector)).fit(X, y).transform(X)
