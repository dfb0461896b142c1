"""The histograms of scores."""

import numpy as np
import pytest

from skneg import MCMDetector, ScoreEnsemble
from skneg.errors import InputError
from skneg.plotting import ScoreHistogramDisplay


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


def test_an_ensemble_is_drawn_by_its_own_scores_and_threshold(embedded, strange):
    ensemble = ScoreEnsemble([MCMDetector(model="skneg-tiny").fit(*embedded)])
    display = ScoreHistogramDisplay.from_estimator(ensemble, *embedded, ood=strange)
    np.testing.assert_array_equal(display.scores["OOD"], ensemble.score_samples(strange))
    assert display.offset == ensemble.offset_
