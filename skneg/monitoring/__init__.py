"""Whether the images that come in are still those of the known classes, told after every one of them."""

from .._utils import attach

__all__ = ["Alarm", "DriftMonitor", "Martingale"]

__getattr__, __dir__ = attach(
    __name__, {"Alarm": "_monitor", "DriftMonitor": "_monitor", "Martingale": "_martingale"}
)
