"""One trial: a fault, a way in, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sklearn.exceptions import NotFittedError

from skneg.errors import SknegError

from .._forked import REFUSED, RIGHT


@dataclass(frozen=True)
class Trial:
    """Without a check the call must be refused by a typed error."""

    fault: str
    kind: str
    entry: str
    subject: str
    call: Callable[[], Any]
    check: Callable[[Any], bool] | None = None
    may_refuse: bool = False

    def __str__(self) -> str:
        return f"{self.fault}: {self.kind} / {self.entry} / {self.subject}"

    def run(self) -> str:
        """Refused or right, or a text that begins with "wrong"; other errors are raised."""
        try:
            found = self.call()
        except (SknegError, NotFittedError) as error:
            if self.check is None or self.may_refuse:
                return REFUSED
            return f"wrong: refused with {type(error).__name__}: {error}"
        return RIGHT if self.check is not None and self.check(found) else f"wrong: answered {found!r:.200}"
