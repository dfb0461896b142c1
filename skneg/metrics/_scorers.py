"""Scorers: the metrics as scikit-learn's searches and cross-validation take them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import _sklearn
from .._sklearn import unwrap
from .._utils import check_option
from ..errors import InputError
from ..vocabulary import mark_unknown, resolve_unknown_label
from ._open_set import named_labels, open_set_accuracy, oscr
from ._report import RANKING_METRICS

_SMALLER_IS_BETTER = ("fpr95", "detection_error")
_METRICS = (*RANKING_METRICS, "oscr", "open_set_accuracy", "id_accuracy")


def make_ood_scorer(metric: str, *, unknown_label: Any = None) -> OODScorer:
    """A scorer of detectors, for ``scoring=`` of `GridSearchCV`, `cross_val_score` and the like.

    The labels given to it hold classes for ID rows and the unknown label for OOD rows, as for `fit`.
    Once a detector has been imported, scikit-learn also knows these scorers by name: ``"ood_auroc"``,
    ``"neg_ood_fpr95"``, ``"ood_aupr_in"``, ``"ood_aupr_out"``, ``"neg_ood_detection_error"``,
    ``"ood_oscr"``, ``"open_set_accuracy"`` and ``"id_accuracy"``.

    Parameters
    ----------
    metric : str
        ``"auroc"``, ``"fpr95"``, ``"aupr_in"``, ``"aupr_out"``, ``"detection_error"``: how well
        ``decision_function`` tells ID from OOD rows. ``"oscr"``: the same and ``predict_proba``'s most
        likely class. ``"open_set_accuracy"``: right answers of ``predict``, rejections included.
        ``"id_accuracy"``: ``predict_proba``'s most likely class on ID rows; needs no OOD rows. See the
        functions of `skneg.metrics`.
    unknown_label : label, optional
        The label of OOD rows. By default the detector's own ``unknown_label_``, also where the detector
        is the last step of a Pipeline or was chosen by a search; needed where that is None.

    Returns
    -------
    OODScorer
        Called as ``scorer(estimator, X, y)``; greater is better, so ``"fpr95"`` and
        ``"detection_error"`` are negated.

    Raises
    ------
    InputError
        If `metric` is none of these.

    Notes
    -----
    Labels that give no number are refused with an `InputError`: without an OOD row or without an ID
    row, or with a label that is neither a class nor the unknown label. scikit-learn's searches turn that
    into NaN and a warning, unless ``error_score="raise"``. Use folds that are stratified by label, which
    is the default for classifiers, to have OOD rows in each.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import cross_val_score
    >>> from skneg import MCMDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(60, shapes=["star", "heart", "fish"], random_state=0)
    >>> y = np.where(y == "fish", "unknown", y)
    >>> detector = MCMDetector(model="skneg-tiny", contamination=0.1)
    >>> scores = cross_val_score(detector, X, y, scoring="ood_auroc", cv=2)
    >>> bool(scores.min() > 0.6)
    True
    """
    check_option("metric", metric, _METRICS)
    return OODScorer(metric, unknown_label)


class OODScorer:
    """A scorer made by `make_ood_scorer`.

    Attributes
    ----------
    metric : str
    unknown_label : label or None
    """

    def __init__(self, metric: str, unknown_label: Any = None) -> None:
        self.metric = metric
        self.unknown_label = unknown_label

    def __call__(self, estimator: Any, X: Any, y: ArrayLike, sample_weight: None = None) -> float:
        """Score a fitted estimator.

        Parameters
        ----------
        estimator : detector, or Pipeline or search with a detector at its end
        X : sequence of images, or array-like of shape (n, d) of floats
        y : array-like of shape (n,)
            Classes, and the unknown label for OOD rows.
        sample_weight : None
            Weights are refused: a quantile such as FPR95 has no agreed weighting.

        Returns
        -------
        float

        Raises
        ------
        InputError, InputTypeError
            If the labels cannot be scored, or the scores not ordered.
        """
        if sample_weight is not None:
            raise InputError(f"{self!r} takes no sample_weight; leave it out.")
        labels = named_labels(y, "y")
        detector, prepare = unwrap(estimator)
        X = prepare(X)
        is_ood = self._find_ood(labels, detector)
        if self.metric == "open_set_accuracy":
            answers = _answers(detector, X, labels[is_ood][0])
            return open_set_accuracy(labels, answers, unknown_label=labels[is_ood][0].item())
        if self.metric == "id_accuracy":
            return float(np.mean(_classes(detector, X)[~is_ood] == labels[~is_ood]))
        scores = detector.decision_function(X)
        if np.shape(scores) != labels.shape:
            raise InputError(
                f"decision_function of {type(detector).__name__} has shape {np.shape(scores)} for "
                f"{len(labels)} labels; one score for each row is needed, as skneg's detectors give."
            )
        known, strange = scores[~is_ood], scores[is_ood]
        if self.metric == "oscr":
            return oscr(known, strange, _classes(detector, X)[~is_ood] == labels[~is_ood])
        sign = -1.0 if self.metric in _SMALLER_IS_BETTER else 1.0
        return sign * RANKING_METRICS[self.metric](known, strange)

    def __repr__(self) -> str:
        extra = "" if self.unknown_label is None else f", unknown_label={self.unknown_label!r}"
        return f"make_ood_scorer({self.metric!r}{extra})"

    def _find_ood(self, labels: np.ndarray, detector: Any) -> np.ndarray:
        """Which rows are OOD; refuses labels that would give a wrong number."""
        unknown = self.unknown_label
        if unknown is None:
            unknown = getattr(detector, "unknown_label_", None)
        if unknown is None and self.metric != "id_accuracy":
            raise InputError(
                f"{type(detector).__name__} has no unknown_label_ that says which rows of y are OOD: use "
                f"make_ood_scorer({self.metric!r}, unknown_label=...)."
            )
        # An explicit "auto" is resolved as the detectors do.
        unknown = resolve_unknown_label(unknown, labels)
        is_ood = np.zeros(len(labels), dtype=bool) if unknown is None else labels == unknown
        if is_ood.all():
            raise InputError(
                f"y holds no ID row: all {len(labels)} labels are the unknown label {unknown!r}. "
                "Stratify the folds by label."
            )
        if not is_ood.any() and self.metric != "id_accuracy":
            cut = [label for label in np.unique(labels).tolist() if str(unknown).startswith(str(label))]
            hint = (
                f"{cut[0]!r} looks like it, cut off as numpy does when a long string is put into an array of "
                "shorter ones: use np.where."
                if cut and isinstance(unknown, str)
                else "Give OOD rows that label, and stratify the folds by label."
            )
            raise InputError(
                f"y holds no OOD row, so there is nothing to detect: none of {len(labels)} labels is the "
                f"unknown label {unknown!r}. {hint}"
            )
        classes = getattr(detector, "classes_", None)
        if classes is None:
            return is_ood
        if unknown is not None and unknown in np.asarray(classes).tolist():
            raise InputError(
                f"the unknown label {unknown!r} is a class that {type(detector).__name__} was fitted on; "
                f"set its unknown_label={unknown!r}, so that it leaves those rows out."
            )
        strange = ~is_ood & ~np.isin(labels, classes)
        if strange.any():
            row = int(strange.argmax())
            raise InputError(
                f"y[{row}] is {labels[row].item()!r}, neither a class of the fitted detector nor the "
                f"unknown label {unknown!r}: give OOD rows the unknown label, and each class enough rows to "
                "be in every fold."
            )
        return is_ood


def _classes(detector: Any, X: Any) -> np.ndarray:
    """The most likely class of each row; `predict` would reject some."""
    return np.asarray(detector.classes_)[np.argmax(detector.predict_proba(X), axis=1)]


def _answers(detector: Any, X: Any, unknown: Any) -> np.ndarray:
    """What `predict` says, with `unknown` where it rejects."""
    answers = np.asarray(detector.predict(X))
    own = getattr(detector, "unknown_label_", None)
    return answers if own is None else mark_unknown(answers, answers == own, unknown)


SCORERS = {
    ("" if metric.endswith("_accuracy") else "neg_ood_" if metric in _SMALLER_IS_BETTER else "ood_")
    + metric: OODScorer(metric)
    for metric in _METRICS
}


def register_scorers() -> None:
    """Make the scorers known to scikit-learn by name."""
    _sklearn.register_scorers(SCORERS)
