"""The private names of scikit-learn that skneg uses, all in one place."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping


class DocumentedMixin:
    """Links an estimator's HTML diagram to skneg's documentation instead of scikit-learn's."""

    _doc_link_module = "skneg"
    _doc_link_template = "https://pypi.org/project/skneg/"


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
