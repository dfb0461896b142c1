"""Fitted detectors as files: safetensors with a JSON header and a sha256, without pickle."""

from .._lazy import attach

__all__ = ["load", "read_header", "save"]

__getattr__, __dir__ = attach(__name__, dict.fromkeys(__all__, "_detectors"))
