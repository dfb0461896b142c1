import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import get_scorer
from sklearn.pipeline import make_pipeline

from skneg import CLIPImageEncoder, MaxLogitDetector, MCMDetector, ScoreEnsemble, make_ood_scorer
from skneg.errors import InputError, InputTypeError, InputWarning
from skneg.metrics import auroc, detection_error, fpr_at_tpr, open_set_accuracy, oscr
from skneg.metrics._scorers import _METRICS, SCORERS


@pytest.fixture(scope="module")
def images(scenes, strange_scenes):
    """Test images and their labels, OOD rows among them."""
    X, y = scenes
    return np.concatenate([X[60:], strange_scenes]), np.concatenate([y[60:], ["unknown"] * 80])


@pytest.fixture(scope="module")
def held_out(images):
    X, y = images
    return CLIPImageEncoder(model="skneg-tiny").transform(X), y


@pytest.fixture(scope="module")
def detector(embedded):
    X, y = embedded
    return MCMDetector(model="skneg-tiny").fit(X[:60], y[:60])


class TestValues:
    def test_are_the_metrics_of_what_the_detector_says(self, detector, held_out):
        Z, y = held_out
        is_ood = y == "unknown"
        scores, classes = detector.decision_function(Z), detector.classes_
        known, strange = scores[~is_ood], scores[is_ood]
        best = classes[detector.predict_proba(Z).argmax(axis=1)]
        right = (best == y)[~is_ood]
        expected = {
            "ood_auroc": auroc(known, strange),
            "neg_ood_fpr95": -fpr_at_tpr(known, strange),
            "neg_ood_detection_error": -detection_error(known, strange),
            "ood_oscr": oscr(known, strange, right),
            "open_set_accuracy": open_set_accuracy(y, detector.predict(Z)),
            "id_accuracy": right.mean(),
        }
        for name, value in expected.items():
            assert get_scorer(name)(detector, Z, y) == pytest.approx(value), name

    def test_greater_is_better(self, held_out):
        Z, y = held_out

        class Scores:
            classes_ = np.unique(y[y != "unknown"])
            unknown_label_ = "unknown"

            def __init__(self, quality):
                self.quality = quality

            def decision_function(self, X):
                noise = np.random.default_rng(0).normal(size=len(X))
                return self.quality * (y != "unknown") + noise

        for name, scorer in SCORERS.items():
            if scorer.metric not in ("oscr", "open_set_accuracy", "id_accuracy"):
                assert scorer(Scores(2), Z, y) > scorer(Scores(0.1), Z, y), name

    def test_of_pipelines_and_ensembles(self, detector, embedded, held_out, images):
        Z, y = held_out
        encoder = CLIPImageEncoder(model="skneg-tiny")
        pipeline = make_pipeline(encoder, detector)
        ensemble = ScoreEnsemble(
            [detector, MaxLogitDetector(model="skneg-tiny").fit(embedded[0][:60], embedded[1][:60])]
        )
        for metric in _METRICS:
            scorer = make_ood_scorer(metric)
            assert scorer(pipeline, *images) == pytest.approx(scorer(detector, Z, y), abs=1e-6), metric
            assert np.isfinite(scorer(ensemble, Z, y))

    def test_integer_labels(self, detector, embedded, held_out):
        classes = detector.classes_.tolist()
        X, y = embedded
        numbered = MCMDetector(model="skneg-tiny", class_names=classes)
        numbered.fit(X[:60], np.searchsorted(classes, y[:60]))
        Z, y = held_out
        numbers = [-1 if label == "unknown" else classes.index(label) for label in y]
        for metric in _METRICS:
            scorer = make_ood_scorer(metric)
            assert scorer(numbered, Z, numbers) == pytest.approx(scorer(detector, Z, y)), metric

    def test_a_label_of_its_own_for_unknown_rows(self, detector, embedded, held_out):
        Z, y = held_out
        other = np.where(y == "unknown", "other", y)
        never = MCMDetector(model="skneg-tiny", unknown_label=None).fit(embedded[0][:60], embedded[1][:60])
        for metric in _METRICS:
            value = make_ood_scorer(metric)(detector, Z, y)
            named = make_ood_scorer(metric, unknown_label="other")
            assert named(detector, Z, other) == pytest.approx(value), metric
            if metric != "open_set_accuracy":
                assert named(never, Z, other) == pytest.approx(value), metric
        accuracy = make_ood_scorer("open_set_accuracy", unknown_label="other")(never, Z, other)
        assert accuracy == pytest.approx(np.mean(never.predict(Z) == other))

    def test_id_accuracy_needs_no_unknown_rows(self, detector, held_out):
        Z, y = held_out
        known = y != "unknown"
        scorer = make_ood_scorer("id_accuracy")
        assert scorer(detector, Z[known], y[known]) == scorer(detector, Z, y)


class TestRefusals:
    @pytest.mark.parametrize("metric", _METRICS)
    def test_no_known_rows(self, metric, detector, held_out):
        Z, y = held_out
        with pytest.raises(InputError, match="y holds no ID row"):
            make_ood_scorer(metric)(detector, Z[y == "unknown"], y[y == "unknown"])

    @pytest.mark.parametrize("metric", [m for m in _METRICS if m != "id_accuracy"])
    def test_no_unknown_rows(self, metric, detector, held_out):
        Z, y = held_out
        with pytest.raises(InputError, match="y holds no OOD row"):
            make_ood_scorer(metric)(detector, Z[y != "unknown"], y[y != "unknown"])

    def test_an_unknown_label_that_numpy_cut_off(self, detector, held_out):
        Z, y = held_out
        short = np.where(y == "unknown", "unknow", y)
        with pytest.raises(InputError, match="cut off as numpy does"):
            make_ood_scorer("auroc")(detector, Z, short)

    def test_a_label_that_is_neither_class_nor_unknown(self, detector, held_out):
        Z, y = held_out
        y = y.copy()
        y[3] = "fish"
        with pytest.raises(InputError, match=r"y\[3\] is 'fish'"):
            make_ood_scorer("auroc")(detector, Z, y)

    def test_ones_for_unknown_rows(self, detector, held_out):
        Z, y = held_out
        with pytest.raises(InputTypeError, match="unknown_label"):
            make_ood_scorer("auroc")(detector, Z, (y == "unknown").astype(int))

    def test_a_detector_trained_on_unknown_rows_as_a_class(self, held_out):
        Z, y = held_out
        with pytest.warns(InputWarning, match="'unknown' is a class to learn"):
            trained = MCMDetector(model="skneg-tiny", unknown_label=None).fit(Z, y)
        with pytest.raises(InputError, match="'unknown' is a class"):
            make_ood_scorer("auroc", unknown_label="unknown")(trained, Z, y)

    def test_an_estimator_that_does_not_say_what_is_unknown(self, embedded, held_out):
        never = MCMDetector(model="skneg-tiny", unknown_label=None).fit(*embedded)
        with pytest.raises(InputError, match=r"make_ood_scorer\('fpr95', unknown_label=...\)"):
            get_scorer("neg_ood_fpr95")(never, *held_out)

    def test_scores_with_a_column_for_each_class(self, held_out):
        from sklearn.linear_model import LogisticRegression

        Z, y = held_out
        known = y != "unknown"
        closed = LogisticRegression().fit(Z[known], y[known])
        with pytest.raises(InputError, match="decision_function of LogisticRegression has shape"):
            make_ood_scorer("auroc", unknown_label="unknown")(closed, Z, y)

    def test_labels_of_another_length(self, detector, held_out):
        Z, y = held_out
        with pytest.raises(InputError, match="for 139 labels"):
            make_ood_scorer("auroc")(detector, Z, y[:-1])

    def test_weights_and_metrics_that_are_none(self, detector, held_out):
        with pytest.raises(InputError, match="sample_weight"):
            make_ood_scorer("auroc")(detector, *held_out, sample_weight=np.ones(140))
        with pytest.raises(InputError, match="metric must be one of"):
            make_ood_scorer("roc_auc")


class TestBehaviour:
    @pytest.mark.parametrize(
        ("metric", "calls"),
        [("auroc", ["decision_function"]), ("oscr", ["decision_function", "predict_proba"]),
         ("open_set_accuracy", ["predict"]), ("id_accuracy", ["predict_proba"])],
    )  # fmt: skip
    def test_asks_the_detector_once_and_encodes_once(self, metric, calls, detector, images):
        seen = []

        class Watched:
            def __init__(self, inner):
                self.inner = inner

            def __getattr__(self, name):
                if name in ("decision_function", "predict_proba", "predict", "score_samples"):
                    seen.append(name)
                return getattr(self.inner, name)

            def fit(self, X, y):
                return self

        class Encoder(CLIPImageEncoder):
            def transform(self, X):
                seen.append("encode")
                return super().transform(X)

        make_ood_scorer(metric)(make_pipeline(Encoder(model="skneg-tiny"), Watched(detector)), *images)
        assert sorted(seen) == sorted(["encode", *calls])

    def test_survives_pickle_and_copy_and_shows_how_it_was_made(self, detector, held_out):
        scorer = make_ood_scorer("fpr95", unknown_label="unknown")
        again = pickle.loads(pickle.dumps(scorer))
        assert again(detector, *held_out) == scorer(detector, *held_out)
        assert repr(again) == "make_ood_scorer('fpr95', unknown_label='unknown')"
        assert repr(get_scorer("ood_auroc")) == "make_ood_scorer('auroc')"


@pytest.mark.parametrize(
    "imports",
    [
        "from sklearn.model_selection import GridSearchCV, cross_val_score\nfrom skneg import MCMDetector",
        "from skneg import MCMDetector\nfrom sklearn.model_selection import GridSearchCV, cross_val_score",
    ],
)
def test_scikit_learn_knows_the_names_in_whatever_order_things_are_imported(imports):
    code = f"""{imports}
import numpy as np
X, y = np.eye(6), ["a", "b"] * 3
for search in (
    lambda scoring: cross_val_score(MCMDetector(), X, y, scoring=scoring, cv=[]),
    lambda scoring: GridSearchCV(MCMDetector(), {{}}, scoring=scoring, cv=[]).fit(X, y),
):
    for scoring in ("ood_auroc", "no_such_scorer"):
        try:
            search(scoring)
        except Exception as error:
            print(scoring, type(error).__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert [line for line in lines if "InvalidParameterError" in line] == [
        "no_such_scorer InvalidParameterError"
    ] * 2, done.stdout + done.stderr
