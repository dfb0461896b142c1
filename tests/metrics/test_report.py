import sys

import numpy as np
import pytest

from skneg.errors import InputError, InputTypeError, MissingDependencyError
from skneg.metrics import auroc, ood_report
from skneg.metrics._report import RANKING_METRICS

ALL = tuple(RANKING_METRICS)


def test_values_are_the_metrics_and_their_mean(sets):
    known, strange = sets
    report = ood_report(known, strange, metrics=ALL, random_state=0)
    assert report.sets == ("near", "far", "mean")
    for row, scores in zip(report.values[:-1], strange.values(), strict=True):
        np.testing.assert_allclose(row, [metric(known, scores) for metric in RANKING_METRICS.values()])
    np.testing.assert_allclose(report.values[-1], report.values[:-1].mean(axis=0))
    assert (report.low <= report.values).all()
    assert (report.values <= report.high).all()
    assert (report.low < report.high).all()


def test_the_same_seed_gives_the_same_intervals(sets):
    first, again, other = (ood_report(*sets, n_draws=50, random_state=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.low, again.low)
    assert (first.low != other.low).any()
    np.testing.assert_array_equal(first.values, other.values)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    truth = 0.7602499389065233  # the normal distribution function at 1 / sqrt(2)
    covered = 0
    for seed in range(150):
        known, strange = rng.normal(1, 1, 100), {"a": rng.normal(0, 1, 100)}
        report = ood_report(known, strange, metrics=["auroc"], n_draws=200, confidence=0.8, random_state=seed)
        covered += report.low[0, 0] <= truth <= report.high[0, 0]
    assert 0.7 < covered / 150 < 0.88  # 3 standard errors are 0.1


def test_the_mean_of_sets_that_meet_the_same_images_is_no_surer_than_one_of_them(sets):
    known, strange = sets[0], np.zeros(2000)
    strange = {str(i): strange for i in range(4)}
    report = ood_report(known, strange, metrics=["auroc"], random_state=0)
    widths = (report.high - report.low)[:, 0]
    assert widths[-1] == pytest.approx(widths[0], rel=0.01)


def test_views_hold_the_same_numbers(sets):
    known, strange = sets
    report = ood_report(known, strange, n_draws=20, random_state=0)
    table, frame = report.to_dict(), report.to_frame()
    assert table["far"]["auroc"] == auroc(known, strange["far"])
    assert table["mean"]["n_ood"] == 130
    assert frame.loc["far", "auroc_high"] == table["far"]["auroc_high"]
    assert frame.index.tolist() == ["near", "far", "mean"]
    low, high = table["near"]["fpr95_low"], table["near"]["fpr95_high"]
    assert f"{table['near']['fpr95']:.2f} [{low:.2f}, {high:.2f}]" in report.to_text(digits=2)
    assert "95 %" in str(report)


def test_without_draws_there_are_no_intervals(sets):
    report = ood_report(*sets, n_draws=0)
    assert report.low is report.high is None
    assert list(report.to_dict()["near"]) == ["n_ood", "auroc", "fpr95", "aupr_in", "aupr_out"]
    assert "[" not in str(report)


def test_without_pandas_the_frame_says_what_to_do(sets, monkeypatch):
    report = ood_report(*sets, n_draws=0)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match="pip install pandas"):
        report.to_frame()


@pytest.mark.parametrize(
    ("changed", "error", "named"),
    [
        ({"scores_id": []}, InputError, "scores_id"),
        ({"scores_ood": {"a": [1.0, np.nan]}}, InputError, r"scores_ood\['a'\] holds NaN"),
        ({"scores_ood": {"mean": [1.0]}}, InputError, "mean"),
        ({"scores_ood": {1: [1.0], "1": [0.0]}}, InputError, "two sets.*'1'"),
        ({"scores_ood": {}}, InputTypeError, "scores_ood"),
        ({"scores_ood": [1.0]}, InputTypeError, "scores_ood"),
        ({"metrics": "auroc"}, InputTypeError, "metrics"),
        ({"metrics": ["auc"]}, InputError, "metrics"),
        ({"n_draws": -1}, InputError, "n_draws"),
        ({"confidence": 95}, InputError, "confidence"),
        ({"random_state": "x"}, InputError, "random_state"),
    ],
)
def test_bad_input_is_named(changed, error, named):
    with pytest.raises(error, match=named):
        ood_report(**{"scores_id": [1.0], "scores_ood": {"a": [0.0]}, **changed})
