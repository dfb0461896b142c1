"""The ROC curves."""

import numpy as np
import pytest

from skneg.errors import InputError
from skneg.metrics import auroc, fpr_at_tpr
from skneg.plotting import OODRocDisplay


@pytest.mark.parametrize("tpr", [0.5, 0.95, 1.0])
def test_the_roc_marks_the_metrics_numbers(tpr):
    rng = np.random.default_rng(0)
    known, near, far = rng.normal(1, 1, 50), rng.normal(0, 1, 40).round(1), rng.normal(-2, 1, 30)
    display = OODRocDisplay.from_predictions(known, {"near": near, "far": far}, tpr=tpr)
    for name, scores in (("near", near), ("far", far)):
        curve = display.curves[name]
        assert curve.auroc == auroc(known, scores)
        assert np.trapezoid(curve.tpr, curve.fpr) == pytest.approx(curve.auroc)
        assert display.marks_[name].get_xdata()[0] == 100 * fpr_at_tpr(known, scores, tpr)
        assert display.marks_[name].get_ydata()[0] >= 100 * tpr
    summary = display.frame(summary=True)
    assert summary["n_ood"].tolist() == [40, 30]
    assert summary["fpr"].tolist() == [fpr_at_tpr(known, near, tpr), fpr_at_tpr(known, far, tpr)]
    assert len(display.frame()) == sum(len(curve.fpr) for curve in display.curves.values())


def test_the_roc_needs_ood_images(detector, embedded):
    with pytest.raises(InputError, match="no OOD images"):
        OODRocDisplay.from_estimator(detector, *embedded)
