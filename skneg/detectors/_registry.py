"""All detectors, one line each: what drives the exports, the documentation, the tests and benchmarks."""

from __future__ import annotations

from typing import NamedTuple


class DetectorInfo(NamedTuple):
    """What a detector is, without importing it.

    Attributes
    ----------
    name : str
        Name of the class, in `skneg`.
    module : str
        Module of `skneg.detectors` that holds it.
    training : {"none", "features", "prompts"}
        What `fit` learns: nothing but the threshold, something of the embeddings, or prompts.
    needs : str
        What it needs beyond class names and images or embeddings; empty for nothing.
    paper : str
    """

    name: str
    module: str
    training: str
    needs: str
    paper: str


_TABLE = (
    DetectorInfo("NegPromptDetector", "_negprompt", "prompts", "", "Li et al., CVPR 2024"),
    DetectorInfo("MCMDetector", "_mcm", "none", "", "Ming et al., NeurIPS 2022"),
    DetectorInfo("MSPDetector", "_logits", "none", "", "Hendrycks and Gimpel, ICLR 2017"),
    DetectorInfo("MaxLogitDetector", "_logits", "none", "", "Hendrycks et al., ICML 2022"),
    DetectorInfo("EnergyDetector", "_logits", "none", "", "Liu et al., NeurIPS 2020"),
    DetectorInfo("EOEDetector", "_eoe", "none", "outlier names", "Cao et al., ICML 2024"),
    DetectorInfo("NegLabelDetector", "_neglabel", "none", "", "Jiang et al., ICLR 2024"),
    DetectorInfo("CSPDetector", "_neglabel", "none", "", "Chen et al., NeurIPS 2024"),
    DetectorInfo("GLMCMDetector", "_glmcm", "none", "local features", "Miyai et al., IJCV 2025"),
    DetectorInfo("ReActDetector", "_react", "features", "", "Sun et al., NeurIPS 2021"),
    DetectorInfo(
        "LinearProbeDetector", "_features", "features", "", "CLIP-based posthoc of Li et al., CVPR 2024"
    ),
    DetectorInfo("KNNDetector", "_features", "features", "", "Sun et al., ICML 2022"),
    DetectorInfo("MahalanobisDetector", "_features", "features", "", "Lee et al., NeurIPS 2018"),
    DetectorInfo("ODINDetector", "_odin", "none", "pixels", "Liang et al., ICLR 2018"),
    DetectorInfo("CoOpDetector", "_coop", "prompts", "", "Zhou et al., IJCV 2022"),
    DetectorInfo("LoCoOpDetector", "_locoop", "prompts", "local features", "Miyai et al., NeurIPS 2023"),
    DetectorInfo("SCTDetector", "_locoop", "prompts", "local features", "Yu et al., NeurIPS 2024"),
    DetectorInfo("LSNDetector", "_lsn", "prompts", "", "Nie et al., ICLR 2024"),
    DetectorInfo("CLIPNDetector", "_clipn", "none", 'a "no" text tower', "Wang et al., ICCV 2023"),
    DetectorInfo(
        "ZOCDetector", "_zoc", "none", "pixels and a caption model", "Esmaeilpour et al., AAAI 2022"
    ),
)

HOMES = {info.name: info.module for info in _TABLE}


def list_detectors() -> list[DetectorInfo]:
    """All detectors of skneg, with what they need.

    Returns
    -------
    list of DetectorInfo
        Named tuples of name, module, training, needs and paper.

    Examples
    --------
    >>> import skneg
    >>> [info.name for info in skneg.list_detectors() if info.training == "features"]
    ['ReActDetector', 'LinearProbeDetector', 'KNNDetector', 'MahalanobisDetector']
    """
    return list(_TABLE)
