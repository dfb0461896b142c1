"""Every estimator under scikit-learn's own checks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import SkipTest

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

import skneg
from skneg import CLIPImageEncoder, CLIPNDetector, PromptRecipe, ScoreEnsemble, Words, _method, base
from skneg._fitting import fit_state
from skneg.base import OpenSetDetector
from skneg.detectors._text_bank import TextBankDetector
from skneg.prompts import CoOpRecipe

from . import _any_width
from ._any_width import EncoderOnRows, backbone_of_width, words_of
from .conftest import takes

pytestmark = [
    pytest.mark.filterwarnings("ignore::skneg.errors.CalibrationWarning"),  # the checks' X is small
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning"),
]

# As many checks as a plain classifier or transformer of scikit-learn 1.9 gets.
N_CLASSIFIER, N_TRANSFORMER = 55, 37

# Detectors that refuse a matrix of embeddings, and stand-ins that show them each row as what they take.
STAND_INS = {
    "ODINDetector": "ODINOnRows",
    "ZOCDetector": "ZOCOnRows",
    "GLMCMDetector": "GLMCMOnRows",
    "LoCoOpDetector": "LoCoOpOnRows",
    "SCTDetector": "SCTOnRows",
    "LocalPromptDetector": "LocalPromptOnRows",
    "IDLikeDetector": "IDLikeOnRows",
}
NAMES = [info.name for info in skneg.list_detectors()]

# Short training, and no temperature that magnifies the rounding of float32 beyond the checks' tolerance.
SHORT = {"recipe": CoOpRecipe(n_epochs=1, n_ctx=2)}
WARM = {"score_temperature": 1.0}
WORDS = {"words": Words(["circle", "square"], max_cosine=1.01), "n_groups": 2, **WARM}
QUICK = {
    "NegPromptDetector": {
        "recipe": PromptRecipe(positive_steps=2, negative_steps=2),
        "words": None,  # a random tower puts words where the classes are: what is left is rounding
    },
    "WordsDetector": {"words": Words(["circle", "cloud"], max_cosine=1.01), **WARM},
    "InterNegDetector": {
        "words": Words(["circle", "square"], max_cosine=1.01, selection="images"),
        "n_groups": 1,
        **WARM,
    },
    "MSPDetector": WARM,
    "EnergyDetector": WARM,
    "EOEDetector": {"outlier_names": ["circle", "square"], **WARM},
    "NegLabelDetector": WORDS,
    "CSPDetector": {**WORDS, "adjectives": ["shiny"], "superclasses": ["thing"]},
    "NegRefineDetector": {**WORDS, "adjectives": ["shiny"], "superclasses": ["thing"]},
    "ReActDetector": WARM,
    "DPMDetector": {"visual_weight": 0.1},  # a random tower's patterns are alike: their scale is large
    "TipAdapterDetector": {"alpha": 0.01},  # 40 images a class would outvote names at a temperature of 1
    "CoOpDetector": SHORT,
    "FADetector": {"recipe": CoOpRecipe(n_epochs=1, n_ctx=None, context_init="a photo of")},
    "LSNDetector": {**SHORT, "n_negative": 2, **WARM},
    "CLIPNDetector": WARM,
    "ZOCDetector": {"candidate_labels": words_of, **WARM},
    "LoCoOpDetector": SHORT,
    "SCTDetector": SHORT,
    "LocalPromptDetector": {**SHORT, "n_negative": 2},
    "IDLikeDetector": {**SHORT, "n_negative": 2, "n_crops": 2, **WARM},
}


def quick(name: str, **parameters) -> OpenSetDetector:
    """The detector, or what stands in for it, small and fast."""
    home = _any_width if name in STAND_INS else skneg
    cls = getattr(home, STAND_INS.get(name, name))
    return cls(**takes(cls, random_state=0), **QUICK.get(name, {}), **parameters)


def ensemble(**parameters) -> ScoreEnsemble:
    # Members that compute in float64, and "rank": a score's place among the calibration scores magnifies
    # the rounding of float32 cosines in batches of other sizes, and a p-value is a step there.
    members = [quick("MahalanobisDetector", contamination=share, **parameters) for share in (0.1, 0.2)]
    return ScoreEnsemble(members, method="rank")


def stream(**parameters) -> skneg.StreamDetector:
    return skneg.StreamDetector(quick("MahalanobisDetector", **parameters), random_state=0)


# What is expected to fail, and why; each failure is demanded, so that the table cannot outlive its reasons.
INTEGERS = "2-D integers are refused: they may as well be pixels, embeddings are floats"
KNOWN_OR_NOT = "decision_function is 1-D and says known or unknown, whatever the number of classes"
EXPECTED = {
    "check_estimators_dtypes": INTEGERS,
    "check_classifier_data_not_an_array": INTEGERS,
    "check_dtype_object": "an object array holds images, one in each element; embeddings are floats",
    "check_classifiers_classes": KNOWN_OR_NOT,
    "check_classifiers_train": KNOWN_OR_NOT,
    "check_decision_proba_consistency": KNOWN_OR_NOT,
}
EXPECTED_OF_ENCODER = {"check_estimator_sparse_tag": "fit looks at nothing; transform refuses sparse data"}


def expected_failures(estimator: BaseEstimator) -> dict[str, str]:
    return EXPECTED_OF_ENCODER if isinstance(estimator, CLIPImageEncoder) else EXPECTED


# With `unknown_label=None` a detector never rejects, and is a classifier as scikit-learn knows them.
CLASSIFIERS = [
    *(quick(name, unknown_label=None) for name in NAMES),
    ensemble(unknown_label=None),
    stream(unknown_label=None),
]
ENCODER = EncoderOnRows()


@pytest.fixture(autouse=True)
def _width_and_names_as_the_checks_need_them(monkeypatch):
    """Give detectors a model as wide as the X they were fitted on, and numbers as class names."""

    widths = []  # of the `fit` under way

    def width(detector):
        return widths[-1] if widths else getattr(detector, "n_features_in_", 2)

    def fit_noting_the_width(detector, X, y, class_names, groups=None):
        widths.append(np.shape(X)[1] if np.ndim(X) == 2 else 2)
        try:
            return fit_state(detector, X, y, class_names, groups)
        finally:
            widths.pop()

    monkeypatch.setattr(base, "fit_state", fit_noting_the_width)
    monkeypatch.setattr(_method, "loaded_backbone", lambda self: backbone_of_width(width(self)))
    monkeypatch.setattr(CLIPImageEncoder, "backbone", lambda self: backbone_of_width(2))
    monkeypatch.setattr(TextBankDetector, "reads_names", False)
    monkeypatch.setattr(skneg.NegPromptDetector, "reads_names", False)
    monkeypatch.setattr(
        CLIPNDetector, "_no_tower", lambda self: backbone_of_width(width(self), seed=1).text_tower
    )


@parametrize_with_checks([*CLASSIFIERS, ENCODER], expected_failed_checks=expected_failures, xfail_strict=True)
def test_keeps_the_conventions_of_scikit_learn(estimator, check):
    run(estimator, check)


def run(estimator, check) -> None:
    try:
        check(estimator)
    except SkipTest as reason:
        # A check that skips itself would look like one that ran.
        if "SCIPY_ARRAY_API" not in str(reason):
            pytest.fail(f"the check skipped itself: {reason}")
        raise
    except Exception as error:
        if name_of(check) not in expected_failures(estimator):
            raise
        # In short: to quote scikit-learn's source for each would take pytest most of its time.
        pytest.fail(f"{type(error).__name__}: {error}", pytrace=False)


# Checks in which a rejected row of the training data may be answered -1 without being wrong. Left out
# besides those of the table: subsets, whose last bit decides for the image that is the threshold itself.
REJECTING = [
    "check_classifiers_one_label",
    "check_dict_unchanged",
    "check_estimators_fit_returns_self",
    "check_estimators_pickle",
    "check_f_contiguous_array_estimator",
    "check_fit2d_1feature",
    "check_fit2d_1sample",
    "check_fit_idempotent",
    "check_n_features_in",
    "check_pipeline_consistency",
    "check_readonly_memmap_input",
    "check_supervised_y_2d",
]


def name_of(check: Any) -> str:
    while hasattr(check, "func"):
        check = check.func
    return check.__name__


def checks_of(estimator: BaseEstimator) -> Iterator[tuple[str, Any]]:
    return ((name_of(check), check) for _, check in estimator_checks_generator(estimator))


@pytest.mark.parametrize(
    "estimator",
    [quick("NegPromptDetector"), quick("MCMDetector"), quick("KNNDetector"), ensemble()],
    ids=lambda estimator: type(estimator).__name__,
)
@pytest.mark.parametrize("name", REJECTING)
def test_keeps_them_with_rejection_too(estimator, name):
    checks = [check for other, check in checks_of(estimator) if other == name]
    assert checks
    for check in checks:
        run(estimator, check)


class _Classifier(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        return self


class _Transformer(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.no_validation = True
        tags.transformer_tags.preserves_dtype = []
        return tags


@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=lambda estimator: type(estimator).__name__)
def test_no_tag_hides_a_classifier_from_checks(estimator):
    names, plain = [name for name, _ in checks_of(estimator)], [name for name, _ in checks_of(_Classifier())]
    # Detectors that learn nothing do without y.
    hidden = [] if estimator.__sklearn_tags__().target_tags.required else ["check_requires_y_none"]
    assert sorted(names + hidden) == sorted(plain)
    assert len(names) == N_CLASSIFIER - len(hidden)


def test_no_tag_hides_the_encoder_from_checks():
    names, plain = [name for name, _ in checks_of(ENCODER)], [name for name, _ in checks_of(_Transformer())]
    assert sorted(names) == sorted(plain)
    assert len(names) == N_TRANSFORMER


def test_every_estimator_is_checked_and_the_tables_are_of_them():
    checked = {type(estimator).__name__ for estimator in CLASSIFIERS}
    assert checked == {STAND_INS.get(name, name) for name in NAMES} | {"ScoreEnsemble", "StreamDetector"}
    assert len(CLASSIFIERS) == 36
    assert set(QUICK) <= set(NAMES)


@pytest.mark.parametrize("name", [*STAND_INS, "CLIPImageEncoder", "TimmImageEncoder"])
def test_who_refuses_a_matrix_says_so(name):
    estimator = getattr(skneg, name)()
    assert not estimator.__sklearn_tags__().input_tags.two_d_array
    # All that scikit-learn has for such an estimator.
    assert [check for check, _ in checks_of(estimator)] == ["check_estimator_cloneable"]
