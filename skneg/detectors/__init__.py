"""One short file per method; each says only how its bank is made and which score it uses."""

from ._features import KNNDetector, LinearProbeDetector, MahalanobisDetector
from ._logits import EnergyDetector, MaxLogitDetector, MSPDetector
from ._mcm import MCMDetector
from ._neglabel import CSPDetector, NegLabelDetector
from ._negprompt import NegPromptDetector
from ._react import ReActDetector

__all__ = [
    "CSPDetector",
    "EnergyDetector",
    "KNNDetector",
    "LinearProbeDetector",
    "MCMDetector",
    "MSPDetector",
    "MahalanobisDetector",
    "MaxLogitDetector",
    "NegLabelDetector",
    "NegPromptDetector",
    "ReActDetector",
]
