"""A constructor parameter called `score` beside scikit-learn's method of that name."""

from __future__ import annotations

from typing import Any

from sklearn.base import ClassifierMixin


class _ScoreParameter:
    """Set, it keeps the parameter; read, it is the method, so that searches can call ``score(X, y)``."""

    def __get__(self, instance: Any, owner: type) -> Any:
        return ClassifierMixin.score if instance is None else ClassifierMixin.score.__get__(instance)

    def __set__(self, instance: Any, value: Any) -> None:
        vars(instance)["score"] = value


class ScoreChoiceMixin:
    """For detectors with several scores, chosen by ``score=``."""

    score = _ScoreParameter()

    @property
    def _chosen_score(self) -> str:
        return vars(self)["score"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters of the constructor; see scikit-learn's `BaseEstimator.get_params`."""
        return {**super().get_params(deep), "score": self._chosen_score}  # type: ignore[misc]
