"""One short file per method; each says only how its bank is made and which score it uses."""

from ._logits import EnergyDetector, MaxLogitDetector, MSPDetector
from ._mcm import MCMDetector
from ._negprompt import NegPromptDetector

__all__ = ["EnergyDetector", "MCMDetector", "MSPDetector", "MaxLogitDetector", "NegPromptDetector"]
