"""Out-of-distribution detection with CLIP, as scikit-learn estimators."""

from ._lazy import attach
from .detectors import HOMES as _DETECTORS

__version__ = "0.1.0.dev0"

_HOMES = {
    "BackboneError": "errors",
    "CLIPImageEncoder": "encoder",
    "CalibrationWarning": "calibration",
    "ImageError": "errors",
    "InputError": "errors",
    "InputTypeError": "errors",
    "MissingDependencyError": "errors",
    "PersistenceError": "errors",
    "ScoreEnsemble": "detectors",
    "SknegError": "errors",
    "TextBank": "bank",
    "VocabularyError": "errors",
    "list_detectors": "detectors",
    "load": "persistence",
    "make_ood_scorer": "metrics",
    "ood_report": "metrics",
    "train_no_encoder": "prompts.no_training",
    **dict.fromkeys(_DETECTORS, "detectors"),
}

__all__ = sorted(_HOMES)

__getattr__, __dir__ = attach(__name__, _HOMES)
