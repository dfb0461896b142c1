"""Fitted detectors as files: safetensors with a JSON header and a sha256, without pickle."""

from .._utils import attach

__all__ = ["check_backbone", "check_weight_file", "load", "load_as", "read_header", "save"]

__getattr__, __dir__ = attach(
    __name__,
    {
        "check_backbone": "_models",
        "check_weight_file": "_models",
        "load": "_detectors",
        "load_as": "_detectors",
        "read_header": "_header",
        "save": "_detectors",
    },
)
