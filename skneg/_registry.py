"""All detectors, one line each: what drives the exports, the documentation, the tests and benchmarks."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

# The class of each detector and the module that holds it. What the class says of itself (its paper,
# what it needs) stands on the class.
DETECTORS: dict[str, str] = {
    "NegPromptDetector": "skneg.detectors._negprompt",
    "WordsDetector": "skneg.detectors._words",
    "MCMDetector": "skneg.detectors._mcm",
    "MSPDetector": "skneg.detectors._msp",
    "MaxLogitDetector": "skneg.detectors._max_logit",
    "EnergyDetector": "skneg.detectors._energy",
    "EOEDetector": "skneg.detectors._eoe",
    "NegLabelDetector": "skneg.detectors._neglabel",
    "CSPDetector": "skneg.detectors._csp",
    "NegRefineDetector": "skneg.detectors._negrefine",
    "InterNegDetector": "skneg.detectors._interneg",
    "GLMCMDetector": "skneg.detectors._glmcm",
    "ReActDetector": "skneg.detectors._react",
    "LinearProbeDetector": "skneg.detectors._linear_probe",
    "KNNDetector": "skneg.detectors._knn",
    "MahalanobisDetector": "skneg.detectors._mahalanobis",
    "ResidualDetector": "skneg.detectors._residual",
    "ViMDetector": "skneg.detectors._vim",
    "NNGuideDetector": "skneg.detectors._nnguide",
    "GENDetector": "skneg.detectors._gen",
    "FDBDDetector": "skneg.detectors._fdbd",
    "TipAdapterDetector": "skneg.detectors._tip_adapter",
    "COOkeDDetector": "skneg.detectors._cooked",
    "DPMDetector": "skneg.detectors._dpm",
    "ODINDetector": "skneg.detectors._odin",
    "CoOpDetector": "skneg.detectors._coop",
    "LoCoOpDetector": "skneg.detectors._locoop",
    "SCTDetector": "skneg.detectors._sct",
    "LSNDetector": "skneg.detectors._lsn",
    "FADetector": "skneg.detectors._fa",
    "IDLikeDetector": "skneg.detectors._id_like",
    "LocalPromptDetector": "skneg.detectors._local_prompt",
    "CLIPNDetector": "skneg.detectors._clipn",
    "ZOCDetector": "skneg.detectors._zoc",
}

# Estimators that hold detectors; files may name them too.
HOLDERS = {
    "ScoreEnsemble": "skneg.detectors._ensemble",
    "StreamDetector": "skneg.detectors._stream",
}


class DetectorInfo(NamedTuple):
    """What a detector is.

    Attributes
    ----------
    name : str
        Name of the class, in `skneg`.
    training : {"none", "features", "prompts"}
        What `fit` learns: nothing but the threshold, something of the embeddings, or prompts.
    needs : str
        What it needs beyond class names and images or embeddings; empty for nothing.
    paper : str
    """

    name: str
    training: str
    needs: str
    paper: str


def detector_class(name: str) -> Any:
    """The class of a detector by its name; KeyError where there is none."""
    return getattr(import_module({**DETECTORS, **HOLDERS}[name]), name)


def list_detectors() -> list[DetectorInfo]:
    """All detectors of skneg, with what they need.

    Returns
    -------
    list of DetectorInfo
        Named tuples of name, training, needs and paper.

    Examples
    --------
    >>> import skneg
    >>> [info.name for info in skneg.list_detectors() if info.needs == "local features"]
    ['GLMCMDetector', 'LoCoOpDetector', 'SCTDetector', 'LocalPromptDetector']
    """
    classes = map(detector_class, DETECTORS)
    return [DetectorInfo(cls.__name__, cls.training, cls.needs, cls.reference) for cls in classes]
