"""The displays of scores."""

import numpy as np
import pytest

from skneg import MCMDetector, ScoreEnsemble
from skneg.errors import InputError
from skneg.metrics import auroc, fpr_at_tpr
from skneg.plotting import OODRocDisplay, ScoreHistogramDisplay


def test_the_histogram_says_what_predict_accepts(detector, embedded, strange):
    display = ScoreHistogramDisplay.from_estimator(detector, embedded[0], ood={"strange": strange})
    frame = display.frame()
    accepted = frame.loc[frame["set"] == "strange", "accepted"]
    np.testing.assert_array_equal(accepted, detector.predict(strange) != "unknown")
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels[1] == f"strange: {100 * accepted.mean():.1f} % accepted"
    assert display.threshold_.get_xdata()[0] == detector.offset_


def test_bars_of_each_set_sum_to_a_hundred_percent_also_with_infinite_scores():
    display = ScoreHistogramDisplay.from_predictions([0.0, 1.0, np.inf], [-np.inf, 0.5], bins=4)
    for bars in display.bars_.values():
        assert bars.get_data().values.sum() == pytest.approx(100)
    np.testing.assert_allclose(display.bars_["OOD"].get_data().values, [50, 0, 50, 0])
    assert display.threshold_ is None
    assert "accepted" not in display.frame()


def test_scores_that_are_no_numbers_are_refused_by_name():
    with pytest.raises(InputError, match=r"scores\['far'\] holds NaN, first at position 1"):
        ScoreHistogramDisplay.from_predictions([1.0], {"far": [0.0, np.nan]})


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


def test_an_ensemble_is_drawn_by_its_own_scores_and_threshold(embedded, strange):
    ensemble = ScoreEnsemble([MCMDetector(model="skneg-tiny").fit(*embedded)])
    display = ScoreHistogramDisplay.from_estimator(ensemble, *embedded, ood=strange)
    np.testing.assert_array_equal(display.scores["OOD"], ensemble.score_samples(strange))
    assert display.offset == ensemble.offset_
