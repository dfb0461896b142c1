"""One page on a detector and images: what it rejects, how well, and what the rejected may be."""

from .._utils import attach

__all__ = ["html"]

__getattr__, __dir__ = attach(__name__, {"html": "_html"})
