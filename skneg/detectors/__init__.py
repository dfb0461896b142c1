"""One short file per method; each says only how its bank is made and which score it uses."""

from .._lazy import attach
from ._registry import HOMES, DetectorInfo, list_detectors

__all__ = ["HOMES", "DetectorInfo", "ScoreEnsemble", "list_detectors", *HOMES]

__getattr__, __dir__ = attach(__name__, {"ScoreEnsemble": "_ensemble", **HOMES})
