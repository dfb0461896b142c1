"""One file per method; each says only how its bank is made and which score it uses."""

from typing import Any

from .._registry import DETECTORS, HOLDERS, detector_class
from .._registry import DetectorInfo as DetectorInfo
from .._registry import list_detectors as list_detectors

__all__ = sorted(["DetectorInfo", "list_detectors", *DETECTORS, *HOLDERS])


def __getattr__(name: str) -> Any:
    if name in {**DETECTORS, **HOLDERS}:
        return detector_class(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
