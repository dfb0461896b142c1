"""How a stream of images moves the score of a fitted detector; see `skneg.StreamDetector`."""

from ._adaneg import AdaNeg
from ._adaptation import Adaptation, Static
from ._clipscope import CLIPScope
from ._nearest_unknown import NearestUnknown
from ._running import StreamState
from ._tanl import TANL
from ._tins import TINS

__all__ = ["TANL", "TINS", "AdaNeg", "Adaptation", "CLIPScope", "NearestUnknown", "Static", "StreamState"]
