"""Scores of images by detectors that were fitted without them."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.model_selection import ShuffleSplit, StratifiedKFold

from skneg import KNNDetector, MCMDetector
from skneg.errors import InputError
from skneg.model_selection import out_of_fold_scores


@pytest.mark.parametrize("unknown", ["unknown", -1])
def test_out_of_fold_scores_are_those_of_detectors_fitted_by_hand(mixed_embeddings, unknown):
    Z, y = mixed_embeddings
    detector = MCMDetector(model="skneg-tiny", contamination=0.1)
    if unknown == -1:
        names = ["heart", "key", "star"]
        detector.set_params(class_names=names)
        y = np.array([-1 if label == "unknown" else names.index(label) for label in y])
    scores = out_of_fold_scores(detector, Z, y, cv=2)
    for train, test in StratifiedKFold(2).split(Z, y):
        detector.fit(Z[train], y[train])
        np.testing.assert_allclose(scores[test], detector.decision_function(Z[test]), atol=1e-12)
    posterior = out_of_fold_scores(detector, Z, y, cv=2, method="predict_proba")
    assert posterior.shape == (len(y), 3)


def test_out_of_fold_scores_work_where_metadata_are_routed(mixed_embeddings):
    detector = MCMDetector(model="skneg-tiny", contamination=0.1)
    with config_context(enable_metadata_routing=True):
        routed = out_of_fold_scores(detector, *mixed_embeddings, cv=2)
    np.testing.assert_array_equal(routed, out_of_fold_scores(detector, *mixed_embeddings, cv=2))


@pytest.mark.parametrize("cv", [ShuffleSplit(2, random_state=0), [(np.arange(10), np.arange(5))]])
def test_out_of_fold_scores_need_every_row_tested_once(embedded, cv):
    with pytest.raises(InputError, match="leave every row out once"):
        out_of_fold_scores(MCMDetector(model="skneg-tiny", contamination=0.2), *embedded, cv=cv)


@pytest.mark.parametrize("cv", [None, 3])
def test_out_of_fold_scores_keep_groups_together(embedded, cv):
    X, y = (part.repeat(2, axis=0) for part in embedded)
    X = X + np.random.default_rng(0).normal(scale=1e-3, size=X.shape).astype(X.dtype)  # two frames of a film
    groups = np.arange(120).repeat(2)
    seen = []

    class Watching(KNNDetector):
        def fit(self, X, y=None, class_names=None, groups=None):
            seen.append(groups)
            return super().fit(X, y, class_names, groups)

    detector = Watching(n_neighbors=1, random_state=0, contamination=0.1)
    scores = out_of_fold_scores(detector, X, y, cv=cv, groups=groups)
    assert all(len(np.unique(part)) * 2 == len(part) for part in seen)
    assert 0 < (scores < 0).mean() < 0.2


def test_out_of_fold_scores_need_a_label_for_every_row(embedded):
    with pytest.raises(InputError, match="cannot split these rows"):
        out_of_fold_scores(MCMDetector(model="skneg-tiny"), embedded[0], embedded[1][:-1], cv=2)
