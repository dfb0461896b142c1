"""Fitted detectors as files of other runtimes."""

from .._utils import attach

__all__ = ["onnx"]

__getattr__, __dir__ = attach(__name__, {"onnx": "_onnx"})
