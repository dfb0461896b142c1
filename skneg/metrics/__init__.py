"""How well known images are told from unknown ones: metrics, a report, and scorers for searches.

In all of it, in-distribution (ID) images are those of the known classes, out-of-distribution (OOD) images
all others, and larger scores = more in-distribution.
"""

from ._open_set import id_accuracy, open_set_accuracy, oscr
from ._paired import AUROCDifference, auroc_difference
from ._ranking import aupr, auroc, detection_error, fpr_at_tpr
from ._report import OODReport, ood_report
from ._scorers import OODScorer, make_ood_scorer, register_scorers

__all__ = [
    "AUROCDifference",
    "OODReport",
    "OODScorer",
    "aupr",
    "auroc",
    "auroc_difference",
    "detection_error",
    "fpr_at_tpr",
    "id_accuracy",
    "make_ood_scorer",
    "ood_report",
    "open_set_accuracy",
    "oscr",
    "register_scorers",
]
