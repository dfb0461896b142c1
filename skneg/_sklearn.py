"""How skneg fits into scikit-learn: its private names, wrapped estimators, signatures, typed checks."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import reduce
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import validate_data

from ._forks import ForkLock
from ._utils import did_you_mean, refuse_masked
from .errors import InputError, InputTypeError

# What an estimator's HTML diagram links to, instead of scikit-learn's pages.
DOC_LINK = "https://pypi.org/project/skneg/"

Prepare = Callable[[Any], Any]

# Whose functions may stand between one of scikit-learn's and ours.
_INNER = ("sklearn.", "skneg.", "joblib.")

# What a user changes first stands first in `help`.
_FIRST = ("self", "detectors", "model", "class_names", "contamination", "random_state")


def register_scorers(scorers: Mapping[str, Callable[..., float]]) -> None:
    """Make scorers known to scikit-learn by name, so that ``scoring="<name>"`` works.

    scikit-learn looks names up in one table, but checks them against copies of its keys that modules
    took while they were imported; those that are imported already get the names as well. Should a
    release keep them elsewhere, scikit-learn refuses the names, and the scorers work as objects.
    """
    try:
        from sklearn.metrics._scorer import _SCORERS
        from sklearn.utils._param_validation import StrOptions
    except ImportError:
        return
    _SCORERS.update(scorers)
    for name, module in list(sys.modules.items()):
        if not name.startswith("sklearn."):
            continue
        for item in list(vars(module).values()):
            for holder in ("_skl_parameter_constraints", "_parameter_constraints"):
                constraints = vars(item).get(holder) if hasattr(item, "__dict__") else None
                for option in (constraints or {}).get("scoring", ()):
                    if isinstance(option, StrOptions) and "accuracy" in option.options:
                        option.options.update(scorers)


def share_parameters(cls: type) -> None:
    """Write inherited parameters into the signature of an ``__init__`` that takes ``**shared``.

    So a detector lists its own parameters only, and scikit-learn and `help` see all of them.
    """
    if "__init__" not in vars(cls):
        return
    own = dict(inspect.signature(cls.__init__).parameters)  # type: ignore[misc]
    inherited: dict[str, inspect.Parameter] = {}
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in own.values()):
        inherited = dict(inspect.signature(super(cls, cls).__init__).parameters)  # type: ignore[arg-type]
    own = {name: p for name, p in own.items() if p.kind is not p.VAR_KEYWORD}
    merged = {**own, **{name: p for name, p in inherited.items() if name not in own}}
    first = {name: merged[name] for name in _FIRST if name in merged}
    ordered = {**first, **merged}
    cls.__init__.__signature__ = inspect.Signature(list(ordered.values()))  # type: ignore[misc, attr-defined]


def refuse_unknown(cls: Any, parameters: Mapping[str, Any]) -> None:
    """Refuse a keyword that a class's constructor does not take, by the name of that class."""
    known = cls._get_param_names()
    for name in parameters:
        if name not in known:
            raise InputTypeError(f"{cls.__name__} has no parameter {name!r}.{did_you_mean(name, known)}")


def with_defaults(estimator: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters for `set_params`, with an object in the place of its short form where a part of it is set.

    None and a plain value, such as a word list, stand for the class's ``default_<name>`` with that value: a
    search must be able to set a part of it.
    """
    filled = dict(parameters)
    for name in {key.partition("__")[0] for key in parameters if "__" in key} - set(parameters):
        default, value = (getattr(estimator, key, None) for key in (f"default_{name}", name))
        if default is not None and not hasattr(value, "set_params"):
            own = {} if value is None else {name: value}
            filled = {name: clone(default).set_params(**own), **filled}
    return filled


def tag(detector: Any, tags: Any) -> Any:
    """scikit-learn's tags of an estimator, filled in for a detector."""
    # Paths. `one_d_array` stays False: to scikit-learn it means that there are no 2-D arrays.
    tags.input_tags.string = True
    tags.input_tags.two_d_array = detector.needs != "local features" and not detector.needs.startswith(
        "pixels"
    )
    tags.input_tags.three_d_array = detector.needs == "local features"
    tags.target_tags.required = detector.training != "none"
    # Zero-shot knowledge of pictures is of no use on the points by which scikit-learn measures.
    tags.classifier_tags.poor_score = detector.reads_names
    return tags


def asks_known_or_unknown(detector: Any) -> bool:
    """Whether whoever looks for `decision_function` will not take it for scores of classes.

    scikit-learn asks for either of ``["decision_function", "predict_proba"]`` where it wants a score of each
    class, to calibrate or to rank them. Our `decision_function` says another thing, so it is not there for
    who would take `predict_proba` as well. Who asks for it by name gets it.
    """
    for module, name, variables in _scikit_learn_above():
        if name == "_check_response_method":
            return isinstance(variables.get("response_method", ""), str)
        if module == "sklearn.multiclass":  # one against the others: tries it first, in code of its own
            return False
    return True


def labels_before_numbering() -> list[str] | None:
    """The sorted strings that a function of scikit-learn above has numbered, so that `fit` gets the numbers.

    Voting, bagging, stacking, `cross_val_predict` and others do so with string labels. None where nothing
    shows it: labels that were numbers from the start, or a caller in another process.
    """
    for _, _, variables in _scikit_learn_above():
        for labels in (variables.get("y"), getattr(variables.get("le"), "classes_", None)):
            is_listed = isinstance(labels, list | tuple) or getattr(labels, "ndim", None) == 1
            values = list(labels) if is_listed else []  # type: ignore[arg-type]
            if values and all(isinstance(value, str) for value in values):
                return sorted(set(map(str, values)))
    return None


def refuse_tool_above(reads_names: bool, unknown_label: Any, has_unknown: bool) -> None:
    """Refuse a meta-estimator above that `fit` would serve, but whose answers would be wrong, or an error.

    Raises
    ------
    InputError
        For counted votes, of which none may be negative; of detectors that read names, for one class
        against the others; and for the calibration of classes with a row of none.
    """
    for module, _, variables in _scikit_learn_above():
        if unknown_label is not None and getattr(variables.get("self"), "voting", None) == "hard":
            raise InputError(
                "VotingClassifier(voting='hard') counts answers and cannot count an unknown label: take "
                "voting='soft', or give each detector unknown_label=None."
            )
        if has_unknown and module == "sklearn.calibration":
            raise InputError(
                f"CalibratedClassifierCV takes {unknown_label!r} in y for a class to calibrate: leave these "
                "rows out."
            )
        if reads_names and module == "sklearn.multiclass":
            raise InputError(
                "classifiers of one class against others put numbers in the place of classes, and names are "
                "lost. A detector knows many classes by itself: fit it as it is."
            )


def _scikit_learn_above() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Module, name and variables of the functions that called, up to the first that is not scikit-learn's."""
    frame: Any = sys._getframe(1)
    while frame is not None and (module := frame.f_globals.get("__name__", "")).startswith(_INNER):
        yield module, frame.f_code.co_name, frame.f_locals
        frame = frame.f_back


def unwrap(estimator: Any) -> tuple[Any, Prepare]:
    """The detector at the end of Pipelines and searches, and what must be done to X before it."""
    from sklearn.pipeline import Pipeline

    steps: list[Prepare] = []
    while True:
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif isinstance(estimator, Pipeline):
            if len(estimator) > 1:
                steps.append(estimator[:-1].transform)
            estimator = estimator[-1]
        else:
            return estimator, lambda X: reduce(lambda Z, step: step(Z), steps, X)


def check_columns(
    X: Any, estimator: Any, known: Mapping[str, Any] | None
) -> tuple[np.ndarray, dict[str, Any]]:
    """A matrix of floats in any container, checked as scikit-learn does, with typed errors.

    Returned with ``n_features_in_`` and ``feature_names_in_`` of X. `known` holds those of `fit`, which X
    is compared with; None in `fit` itself. The estimator is not changed.
    """
    refuse_masked("X", X)  # scikit-learn would take what lies below the mask
    if hasattr(X, "detach"):
        X = X.detach().float().cpu().numpy()
    # scikit-learn notes the columns on the estimator that it checks for; `fit` may still fail.
    stand_in = type(type(estimator).__name__, (BaseEstimator,), {})()
    vars(stand_in).update(known or {})
    matrix = _as_matrix(X)
    try:
        # What is no plain matrix is checked by scikit-learn, which changes the filters of warnings for that.
        with nullcontext() if matrix is not None else one_at_a_time():
            X = validate_data(
                stand_in,
                X,
                reset=known is None,
                dtype=[np.float64, np.float32, np.float16],  # none of them is copied
                ensure_all_finite=False,
                estimator=estimator,
                skip_check_array=matrix is not None,
            )
    except TypeError as error:
        raise InputTypeError(str(error)) from error
    except ValueError as error:
        raise InputError(str(error)) from error
    X = X if matrix is None else matrix
    return X, {name: value for name, value in vars(stand_in).items() if name.endswith("_in_")}


def _as_matrix(X: Any) -> np.ndarray | None:
    """X as the matrix of floats that it is, in this machine's order of bytes; None where it is none."""
    if isinstance(X, list | tuple) or hasattr(X, "iloc"):
        try:
            X = np.asarray(X)
        except ValueError:  # rows of different lengths
            return None
    if type(X) not in (np.ndarray, np.memmap) or X.ndim != 2 or X.size == 0:
        return None
    kind = X.dtype.newbyteorder("=")
    return X.astype(kind, copy=False) if kind in (np.float64, np.float32, np.float16) else None


_alone = ForkLock()


def one_at_a_time() -> AbstractContextManager[None]:
    """Within this context no other thread is: for what others check, fit or export.

    Such code changes the filters of warnings and puts them back; two threads at a time may put back the wrong
    ones. Predictions on images or matrices do not go there.
    """
    return _alone.held()
