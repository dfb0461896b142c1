"""What scikit-learn's checks do not look at: columns, tags, routing, diagrams, signatures and scorers."""

from __future__ import annotations

import inspect
import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_html_repr, get_tags

import skneg
from skneg import CLIPImageEncoder, InputError, InputTypeError, KNNDetector, MCMDetector, ScoreEnsemble
from skneg.backbone import _loading

from .conftest import KNOWN, run_python

INFOS = skneg.list_detectors()
DETECTORS = [info.name for info in INFOS]
WHOLE = [info.name for info in INFOS if "pixels" not in info.needs and info.needs != "local features"]


@pytest.fixture(scope="module")
def small(embedded):
    X, y = embedded
    return X[:60], y[:60]


def mcm(**parameters) -> MCMDetector:
    return MCMDetector(model="skneg-tiny", **parameters)


@pytest.mark.parametrize(
    ("label", "kind"),
    [(str, "U"), (np.str_, "U"), (int, "i"), (np.uint8, "u"), (float, "f")],
)
def test_answers_are_of_the_kind_of_the_labels(label, kind, small):
    X, y = small
    numbers = np.searchsorted(sorted(KNOWN), y)
    labels = [label(number) for number in numbers]
    names = {label(i): name for i, name in enumerate(sorted(KNOWN))}
    detector = mcm(class_names=names, unknown_label=None).fit(X, labels)
    assert detector.classes_.dtype.kind == detector.predict(X).dtype.kind == kind
    assert detector.classes_.tolist() == sorted(set(np.array(labels).tolist()))
    assert detector.score(X, labels) > 0.6


# Columns.


def test_columns_of_a_table_are_remembered_and_must_agree(small):
    X, y = small
    table = pd.DataFrame(X, columns=[f"clip{i}" for i in range(X.shape[1])])
    knn = KNNDetector(contamination=0.2, random_state=0)
    for detector in (mcm(), knn, ScoreEnsemble([mcm(), knn])):
        detector.fit(table, y)
        assert detector.feature_names_in_.tolist() == table.columns.tolist()
        assert detector.n_features_in_ == X.shape[1]
        np.testing.assert_array_equal(detector.predict(table), clone(detector).fit(X, y).predict(X))
        for other in (table.iloc[:, ::-1], table.rename(columns={"clip0": "clop0"}), table.iloc[:, 1:]):
            with pytest.raises(InputError, match="feature names"):
                detector.predict(other)
        assert not hasattr(detector.fit(X, y), "feature_names_in_")


def test_images_have_no_columns(scenes):
    X, y = scenes
    detector = mcm().fit(X, y)
    assert not hasattr(detector, "n_features_in_")
    assert not hasattr(ScoreEnsemble([detector]), "n_features_in_")
    assert not hasattr(ScoreEnsemble([mcm()]), "n_features_in_")


def test_the_encoder_names_its_columns_and_keeps_the_index(scenes):
    images = pd.Series(list(scenes[0][:4]), index=["a", "b", "c", "d"])
    encoder = CLIPImageEncoder(model="skneg-tiny").set_output(transform="pandas")
    table = encoder.fit_transform(images)
    assert table.index.tolist() == ["a", "b", "c", "d"]
    assert table.columns.tolist() == encoder.get_feature_names_out().tolist()
    assert table.columns[0] == "clipimageencoder0"
    plain = encoder.set_output(transform="default").transform(images)
    assert isinstance(plain, np.ndarray)
    np.testing.assert_array_equal(table, plain)


def test_patches_have_no_columns(scenes):
    encoder = CLIPImageEncoder(model="skneg-tiny", local=True).set_output(transform="pandas")
    # By pandas itself, where scikit-learn does not ask for names first.
    with pytest.raises(ValueError, match=r"local=True|2-d input"):
        encoder.transform(scenes[0][:2])


# Without weights.


@pytest.fixture
def no_weights(monkeypatch):
    """The models that were asked for; none can be had."""
    asked: list = []

    def refuse(*arguments, **keywords):
        asked.append((arguments, keywords))
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(_loading, "load_backbone", refuse)
    monkeypatch.setattr(_loading, "_load", refuse)
    return asked


@pytest.mark.parametrize("name", [*DETECTORS, "CLIPImageEncoder", "ScoreEnsemble"])
def test_an_unfitted_estimator_is_handled_without_loading_a_model(name, no_weights):
    estimator = ScoreEnsemble([MCMDetector()]) if name == "ScoreEnsemble" else getattr(skneg, name)()
    twin = clone(estimator)
    assert repr(twin) == repr(estimator)
    assert name in repr(estimator)
    assert twin.get_params(deep=False).keys() == estimator.get_params(deep=False).keys()
    key = "contamination" if "contamination" in twin.get_params() else "batch_size"
    assert twin.set_params(**{key: 7}).get_params()[key] == 7
    assert repr(pickle.loads(pickle.dumps(twin))) == repr(twin)
    assert name in estimator_html_repr(estimator)
    assert name in estimator_html_repr(make_pipeline(estimator))
    dir(estimator)
    get_tags(estimator)
    with pytest.raises(ValueError, match="Invalid parameter"):
        estimator.set_params(no_such_parameter=1)
    assert no_weights == []


@pytest.mark.parametrize("name", [*DETECTORS, "CLIPImageEncoder", "ScoreEnsemble"])
def test_the_diagram_links_to_the_documentation_of_skneg(name):
    estimator = ScoreEnsemble([MCMDetector()]) if name == "ScoreEnsemble" else getattr(skneg, name)()
    diagram = estimator_html_repr(estimator)
    assert f"Documentation for {name}" in diagram
    assert 'href="https://pypi.org/project/skneg/' in diagram
    assert 'href="https://scikit-learn.org' not in diagram


# Tags.


@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)
def test_tags_say_what_a_detector_takes_and_needs(info):
    tags = get_tags(getattr(skneg, info.name)())
    assert tags.estimator_type == "classifier"
    assert tags.classifier_tags.multi_class
    assert tags.target_tags.required == (info.training != "none")
    assert tags.classifier_tags.poor_score == (info.name not in POINTS)
    assert tags.input_tags.two_d_array == (info.name in WHOLE)
    assert tags.input_tags.three_d_array == (info.needs == "local features")
    assert tags.input_tags.string
    assert not any((tags.input_tags.sparse, tags.input_tags.allow_nan, tags.input_tags.pairwise))
    assert not any((tags.non_deterministic, tags.no_validation, tags._skip_test))
    assert tags.requires_fit


# Those that need no text tower, and so classify any points.
POINTS = {
    "LinearProbeDetector", "KNNDetector", "MahalanobisDetector", "ResidualDetector", "ViMDetector",
    "NNGuideDetector", "GENDetector", "FDBDDetector",
}  # fmt: skip


def test_an_ensemble_needs_what_its_members_need():
    def tags(*members):
        return get_tags(ScoreEnsemble(list(members)))

    assert tags(MCMDetector(), KNNDetector()).target_tags.required
    assert not tags(MCMDetector()).target_tags.required
    assert tags(MCMDetector(), KNNDetector()).input_tags.two_d_array
    assert not tags(MCMDetector(), skneg.ODINDetector()).input_tags.two_d_array
    assert get_tags(ScoreEnsemble("no list")).estimator_type == "classifier"


def test_the_encoder_is_a_stateless_transformer_of_images():
    tags = get_tags(CLIPImageEncoder())
    assert tags.estimator_type is None or tags.estimator_type == "transformer"
    assert not tags.requires_fit
    assert not tags.input_tags.two_d_array
    assert tags.input_tags.string
    assert tags.transformer_tags.preserves_dtype == []


# Metadata routing.


@pytest.fixture
def _routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.mark.usefixtures("_routing")
def test_class_names_are_routed_through_a_pipeline_and_a_search(scenes):
    X, y = scenes
    numbers, names = np.searchsorted(sorted(KNOWN), y), sorted(KNOWN)
    detector = mcm(contamination=0.2).set_fit_request(class_names=True)
    pipeline = make_pipeline(CLIPImageEncoder(model="skneg-tiny"), detector)
    assert pipeline.fit(X, numbers, class_names=names)[-1].class_names_ == names
    scores = cross_val_score(pipeline, X, numbers, cv=2, params={"class_names": names})
    assert scores.min() > 0.4
    grid = {"mcmdetector__score_temperature": [0.01, 1.0]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, numbers, class_names=names)
    assert search.best_estimator_[-1].class_names_ == names


@pytest.mark.usefixtures("_routing")
def test_class_names_that_nobody_asked_for_are_refused(scenes):
    X, y = scenes
    pipeline = make_pipeline(CLIPImageEncoder(model="skneg-tiny"), mcm())
    with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError, match="class_names"):
        pipeline.fit(X, y, class_names=sorted(KNOWN))


# Signatures and names.


def test_a_signature_has_the_inherited_parameters_and_first_what_users_change():
    names = list(inspect.signature(skneg.NegPromptDetector).parameters)
    assert names[:4] == ["model", "class_names", "contamination", "random_state"]
    assert {"recipe", "device", "verbose"} <= set(names)
    assert "shared" not in names


def test_an_unknown_parameter_is_named_with_its_class():
    with pytest.raises(
        InputTypeError, match="MCMDetector has no parameter 'contaminaton'. Did you mean 'contami"
    ):
        MCMDetector(contaminaton=0.1)


def test_scorers_are_known_by_name_to_what_was_imported_before():
    code = (
        "from sklearn.model_selection import GridSearchCV, cross_validate; import skneg;"
        "from skneg import MCMDetector; from sklearn.metrics import get_scorer;"
        "GridSearchCV(MCMDetector(), {}, scoring='ood_auroc')._validate_params(); get_scorer('ood_auroc')"
    )
    run_python(code)
