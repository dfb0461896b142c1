"""Constructor parameters that many estimators share, written once."""

from __future__ import annotations

import inspect
from typing import Any


class SharedParametersMixin:
    """Lets a subclass take ``**shared`` and still show all parameters."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Write the shared parameters into the signature of an ``__init__`` that takes ``**shared``.

        So a detector lists its own parameters only, and scikit-learn and `help` see all of them.
        """
        super().__init_subclass__(**kwargs)
        if "__init__" not in vars(cls):
            return
        own = inspect.signature(cls.__init__).parameters
        if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in own.values()):
            return
        inherited = inspect.signature(super(cls, cls).__init__).parameters
        merged = {**inherited, **{n: p for n, p in own.items() if p.kind is not p.VAR_KEYWORD}}
        cls.__init__.__signature__ = inspect.Signature(list(merged.values()))  # type: ignore[attr-defined]
