"""Out-of-distribution detection with CLIP, as scikit-learn estimators."""

from ._lazy import attach

__version__ = "0.1.0.dev0"

_HOMES = {
    "BackboneError": "errors",
    "CLIPImageEncoder": "encoder",
    "CSPDetector": "detectors",
    "CalibrationWarning": "calibration",
    "EnergyDetector": "detectors",
    "ImageError": "errors",
    "InputError": "errors",
    "InputTypeError": "errors",
    "KNNDetector": "detectors",
    "LinearProbeDetector": "detectors",
    "MCMDetector": "detectors",
    "MSPDetector": "detectors",
    "MahalanobisDetector": "detectors",
    "MaxLogitDetector": "detectors",
    "NegLabelDetector": "detectors",
    "NegPromptDetector": "detectors",
    "ReActDetector": "detectors",
    "SknegError": "errors",
    "TextBank": "bank",
    "VocabularyError": "errors",
}

__all__ = sorted(_HOMES)

__getattr__, __dir__ = attach(__name__, _HOMES)
