"""How a stream of images moves the score of a fitted detector; see `skneg.StreamDetector`."""

from ._adaneg import AdaNeg
from ._adaptation import Adaptation, Known
from ._clipscope import CLIPScope
from ._nearest_unknown import NearestUnknown
from ._tanl import TANL

__all__ = ["TANL", "AdaNeg", "Adaptation", "CLIPScope", "Known", "NearestUnknown"]
