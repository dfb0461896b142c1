"""scikit-learn's searches over detectors: what they score, what they encode, what they load."""

import re
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn import config_context
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
)
from sklearn.pipeline import Pipeline, make_pipeline

from skneg import CLIPImageEncoder, KNNDetector, NegPromptDetector
from skneg.cache import content_key
from skneg.errors import InputError
from skneg.images import as_image_sequence
from skneg.metrics import auroc

from .conftest import with_recipe

PAGE = Path(__file__).parents[1] / "docs" / "searches.md"


class CountingEncoder(CLIPImageEncoder):
    """Writes down each image that reaches the tower; in a module, so that other processes can import it."""

    def __init__(self, *, model="skneg-tiny", cache=None, log=None):
        super().__init__(model=model, cache=cache)
        self.log = log

    def _encode(self, images, *options):
        with open(self.log, "a") as file:
            file.write("".join(f"{content_key(images[i])}\n" for i in range(len(images))))
        return super()._encode(images, *options)


def quick(**parameters):
    defaults = {"positive_steps": 2, "negative_steps": 3, "contamination": 0.1, "calibration": "train"}
    return with_recipe(NegPromptDetector, model="skneg-tiny", random_state=0, **{**defaults, **parameters})


def test_a_grid_search_over_embeddings_with_unknown_rows_by_name(mixed_embeddings):
    search = GridSearchCV(
        quick(),
        {"recipe__n_negative": [1, 2]},
        scoring="ood_auroc",
        cv=StratifiedKFold(2),
        error_score="raise",
    ).fit(*mixed_embeddings)
    assert search.best_score_ > 0.6
    assert search.classes_.tolist() == ["heart", "key", "star"]
    Z, y = mixed_embeddings
    train, test = next(iter(StratifiedKFold(2).split(Z, y)))
    first = quick(n_negative=1).fit(Z[train], y[train]).decision_function(Z[test])
    expected = auroc(first[y[test] != "unknown"], first[y[test] == "unknown"])
    assert search.cv_results_["split0_test_score"][0] == pytest.approx(expected)


def test_parameters_and_clones_load_no_weights(monkeypatch):
    from sklearn.base import clone

    from skneg.backbone import _loading

    def refuse(*_):
        raise AssertionError("weights were loaded")

    monkeypatch.setattr(_loading, "_loaded", {})
    monkeypatch.setattr(_loading, "_load", refuse)
    pipeline = make_pipeline(CLIPImageEncoder(model="skneg-tiny", cache="folder"), quick())
    clone(pipeline).set_params(negpromptdetector__recipe__n_negative=3, clipimageencoder__model="ViT-L-14")
    repr(pipeline)
    with pytest.raises(AssertionError, match="weights were loaded"):
        pipeline.fit(np.zeros((30, 8, 8, 3), np.uint8), np.repeat(["a", "b", "c"], 10))


@pytest.mark.parametrize(("n_jobs", "memory"), [(1, False), (1, True), (2, False)])
def test_a_search_encodes_each_image_once(n_jobs, memory, mixed, tmp_path):
    X, y = mixed
    log = tmp_path / "log"
    pipeline = Pipeline(
        [("encode", CountingEncoder(cache=tmp_path / "cache", log=log)), ("detect", quick())],
        memory=joblib.Memory(tmp_path / "memory", verbose=0) if memory else None,
    )
    search = GridSearchCV(
        pipeline,
        {"detect__recipe__n_negative": [1, 2]},
        scoring=["ood_auroc", "ood_oscr"],
        refit="ood_auroc",
        cv=3,
        n_jobs=n_jobs,
        error_score="raise",
    ).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_ood_oscr"]).all()
    cross_val_score(pipeline, X, y, scoring="neg_ood_fpr95", cv=2, error_score="raise")
    images = as_image_sequence(X)
    assert sorted(log.read_text().split()) == sorted(content_key(images[i]) for i in range(len(X)))


def test_the_memory_of_a_pipeline_alone_does_not(mixed, tmp_path):
    X, y = mixed
    log = tmp_path / "log"
    memory = joblib.Memory(tmp_path / "memory", verbose=0)
    pipeline = Pipeline([("encode", CountingEncoder(log=log)), ("detect", quick())], memory=memory)
    cross_val_score(pipeline, X, y, scoring="ood_auroc", cv=2)
    assert len(log.read_text().split()) == 2 * len(X)


def test_scores_in_two_processes_are_those_in_one(mixed_embeddings):
    scores = [
        cross_val_score(quick(), *mixed_embeddings, scoring="ood_auroc", cv=2, n_jobs=n) for n in (1, 2)
    ]
    np.testing.assert_allclose(scores[0], scores[1])


def test_a_fold_without_unknown_rows_is_nan_and_a_warning_or_raises(mixed_embeddings):
    Z, y = mixed_embeddings
    known = y != "unknown"
    with pytest.warns(UserWarning, match="y holds no OOD row"):
        scores = cross_val_score(quick(), Z[known], y[known], scoring="ood_auroc", cv=2)
    assert np.isnan(scores).all()
    with pytest.raises(InputError, match="y holds no OOD row"):
        cross_val_score(quick(), Z[known], y[known], scoring="ood_auroc", cv=2, error_score="raise")


def test_cross_val_predict_answers_with_names(mixed_embeddings):
    answers = cross_val_predict(quick(), *mixed_embeddings, cv=2)
    assert set(answers) <= {"heart", "key", "star", "unknown"}
    assert (answers == mixed_embeddings[1])[:60].mean() > 0.6


def test_the_page_on_searches_runs(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # it saves a detector
    names: dict = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.S)
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert names["search"].best_score_ > 0.6
    assert "fish and trees" in capsys.readouterr().out


def test_the_page_on_searches_names_every_scorer():
    from skneg.metrics._scorers import SCORERS

    named = {
        name
        for line in PAGE.read_text().partition("## Which tools")[0].splitlines()
        if line.startswith("| `")
        for name in re.findall('`"(.*?)"`', line)
    }
    assert named == set(SCORERS)


def test_groups_reach_folds_and_fit(embedded):
    X, y = embedded
    groups, seen = np.arange(120) // 3, []

    class Noting(KNNDetector):
        def fit(self, X, y=None, class_names=None, groups=None):
            seen.append(np.unique(groups))
            return super().fit(X, y, class_names, groups)

    with config_context(enable_metadata_routing=True):
        search = GridSearchCV(
            Noting(random_state=0).set_fit_request(groups=True),
            {"n_neighbors": [1, 5]},
            cv=GroupKFold(4),
            scoring=make_scorer(accuracy_score),
        ).fit(X, y, groups=groups)
    assert search.best_score_ > 0.3
    assert [len(own) for own in seen] == [30] * 8 + [40]
