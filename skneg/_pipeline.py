"""The detector inside what scikit-learn wraps around it."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

from sklearn.pipeline import Pipeline

Prepare = Callable[[Any], Any]


def unwrap(estimator: Any) -> tuple[Any, Prepare]:
    """The detector at the end of Pipelines and searches, and what must be done to X before it."""
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
