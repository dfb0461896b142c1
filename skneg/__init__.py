"""Out-of-distribution detection with CLIP, as scikit-learn estimators."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from ._registry import DETECTORS, HOLDERS, detector_class
from ._utils import attach

__version__ = "0.1.0.dev0"

_HOMES = {
    "BackboneError": "errors",
    "CLIPImageEncoder": "encoder",
    "CalibrationWarning": "errors",
    "ImageError": "errors",
    "InputError": "errors",
    "InputTypeError": "errors",
    "InputWarning": "errors",
    "MissingDependencyError": "errors",
    "PersistenceError": "errors",
    "PromptRecipe": "prompts.recipe",
    "SknegError": "errors",
    "SknegWarning": "errors",
    "TextBank": "bank",
    "TimmImageEncoder": "encoder",
    "VocabularyError": "errors",
    "Words": "words",
    "list_detectors": "_registry",
    "load": "persistence",
    "make_ood_scorer": "metrics",
    "ood_report": "metrics",
    "train_no_encoder": "prompts.no_training",
}

__all__ = sorted([*_HOMES, *DETECTORS, *HOLDERS])

_getattr, _ = attach(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    if name in DETECTORS or name in HOLDERS:
        return detector_class(name)
    if name not in _HOMES and name in _rooms():  # so that `import skneg` is enough for skneg.report.html
        return import_module(f"skneg.{name}")
    return _getattr(name)


def __dir__() -> list[str]:
    return sorted([*__all__, *_rooms(), "__version__"])


@cache
def _rooms() -> list[str]:
    return [module.name for module in iter_modules(__path__) if not module.name.startswith("_")]
