"""Out-of-fold scores, which scikit-learn's `cross_val_predict` cannot give for open-set labels."""

from __future__ import annotations

from inspect import signature
from numbers import Integral
from typing import Any

import numpy as np
from sklearn import config_context
from sklearn.model_selection import StratifiedGroupKFold, check_cv, cross_val_predict

from .errors import InputError
from .metrics._open_set import named_labels


def out_of_fold_scores(
    detector: Any,
    X: Any,
    y: Any,
    *,
    cv: Any = None,
    groups: Any = None,
    method: str = "decision_function",
    n_jobs: int | None = None,
) -> np.ndarray:
    """Score each image with a detector that was fitted without it.

    ``cross_val_predict(detector, X, y, method="decision_function")`` numbers the labels before it fits,
    so that class names are lost and images with the unknown label become a class to train on. Here
    labels reach `fit` as they are.

    Parameters
    ----------
    detector : estimator
        A detector, or a Pipeline or search with one at its end; stays unfitted.
    X : sequence of images, or array-like of shape (n, d) of floats
    y : array-like of shape (n,)
        Classes, and the unknown label for OOD rows. These are scored, and not trained on.
    cv : int, splitter or iterable, optional
        As in scikit-learn; None for 5 folds. Folds are stratified by label, and keep groups together where
        there are any. Each row must be in one test set.
    groups : array-like of shape (n,), optional
        Passed to the splitter, and to the `fit` of a detector; see `NegPromptDetector.fit`. A Pipeline or a
        search keeps them to the splitter.
    method : {"decision_function", "predict_proba", "predict"}, default="decision_function"
        What to collect. Columns of ``"predict_proba"`` are classes in sorted order, which must be the
        same in each fold.
    n_jobs : int, optional
        Number of processes; None for 1.

    Returns
    -------
    ndarray of shape (n,) or (n, k)
        Scores of different folds come from different thresholds and, for detectors that train,
        different models: compare them with care.

    Raises
    ------
    InputError, InputTypeError
        If `y` cannot be used as labels, or `cv` does not test every row once.

    Examples
    --------
    >>> import numpy as np
    >>> from skneg import MCMDetector
    >>> from skneg.datasets import make_scenes
    >>> from skneg.metrics import auroc
    >>> from skneg.model_selection import out_of_fold_scores
    >>> X, y = make_scenes(60, shapes=["star", "heart", "fish"], random_state=0)
    >>> y = np.where(y == "fish", "unknown", y)
    >>> detector = MCMDetector(model="skneg-tiny", contamination=0.1)
    >>> scores = out_of_fold_scores(detector, X, y, cv=2)
    >>> auroc(scores[y != "unknown"], scores[y == "unknown"]) > 0.6
    True
    """
    labels = named_labels(y, "y")
    try:
        if groups is not None and (cv is None or isinstance(cv, Integral)):
            cv = StratifiedGroupKFold(5 if cv is None else int(cv))
        folds = list(check_cv(cv, labels, classifier=True).split(X, labels, groups))
    except (TypeError, ValueError) as error:
        raise InputError(f"cv={cv!r} cannot split these rows: {error}") from error
    tested = np.concatenate([test for _, test in folds])
    if len(tested) != len(labels) or len(np.unique(tested)) != len(labels):
        raise InputError(
            f"cv={cv!r} must leave every row out once, such as StratifiedKFold does; it leaves out "
            f"{len(np.unique(tested))} of {len(labels)} rows, {len(tested)} times in all."
        )
    # As a parameter of `fit`, y is cut into folds but not numbered. Routing would look for its name among
    # the metadata that the detector asks for.
    params: dict[str, Any] = {"y": labels}
    if groups is not None and "groups" in signature(detector.fit).parameters:
        params["groups"] = np.asarray(groups)
    with config_context(enable_metadata_routing=False):
        return cross_val_predict(detector, X, cv=folds, method=method, params=params, n_jobs=n_jobs)
