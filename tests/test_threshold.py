from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from skneg.errors import CalibrationWarning, InputError
from skneg.threshold import (
    Calibrator,
    check_calibration,
    conformal_offset,
    offset_by_unknown,
    one_of_each,
    p_values,
    relative_ranks,
    smallest_calibration_set,
    split_for_calibration,
    split_holdout,
)


@pytest.mark.parametrize(("n", "alpha"), [(20, 0.05), (100, 0.05), (100, 0.01), (37, 0.1)])
def test_false_alarm_rate_is_at_most_alpha_on_average(n, alpha):
    draws = np.random.default_rng(0).normal(size=(2000, n + 200))
    offsets = np.array([conformal_offset(draw[:n], alpha) for draw in draws])
    rates = (draws[:, n:] < offsets[:, None]).mean(axis=1)
    expected = np.floor(alpha * (n + 1) + 1e-9) / (n + 1)
    assert expected <= alpha + 1e-9
    assert abs(rates.mean() - expected) < 3 * rates.std() / np.sqrt(len(rates))


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.1, 0.3])
def test_too_few_images_are_refused(alpha):
    n = smallest_calibration_set(alpha)
    assert np.isfinite(conformal_offset(np.arange(n), alpha))
    with pytest.raises(InputError, match=f"at least {n} are needed"):
        conformal_offset(np.arange(n - 1), alpha)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.99])
def test_holdout_leaves_every_class_a_training_row(fraction):
    targets = np.repeat([0, 1, 2], [1, 2, 30])
    train, held_out = split_holdout(targets, fraction, np.random.RandomState(0))
    assert set(targets[train]) == {0, 1, 2}
    assert sorted([*train, *held_out]) == list(range(33))
    assert len(held_out) == min(30, round(33 * fraction))


@pytest.mark.parametrize("ties", [False, True])
def test_p_values_exceed_no_level_too_often(ties):
    draws = np.random.default_rng(1).normal(size=(2000, 19 + 50))
    draws = np.round(draws, 1) if ties else draws
    found = np.array([p_values(draw[19:], np.sort(draw[:19])) for draw in draws])
    for level in (0.05, 0.1, 0.25, 0.5, 0.95):
        rates = (found <= level + 1e-9).mean(axis=1)
        assert rates.mean() <= level + 3 * rates.std() / np.sqrt(len(rates))
        assert ties or rates.mean() >= level - 3 * rates.std() / np.sqrt(len(rates))


@pytest.mark.parametrize(("n", "alpha"), [(19, 0.05), (40, 0.05), (99, 0.01), (39, 0.1), (20, 0.3)])
def test_p_values_reject_where_the_threshold_does(n, alpha):
    rng = np.random.default_rng(2)
    reference = np.sort(np.round(rng.normal(size=n), 1))
    scores = np.concatenate([reference, np.round(rng.normal(size=500), 1)])
    rejected = scores < conformal_offset(reference, alpha)
    np.testing.assert_array_equal(p_values(scores, reference) <= alpha + 1e-9, rejected)


def test_relative_ranks_lose_no_order():
    scores = np.sort(np.random.default_rng(3).normal(scale=3, size=200))
    ranks = relative_ranks(scores, np.sort(np.random.default_rng(4).normal(size=30)))
    assert (np.diff(ranks) > 0).all()
    assert 0 < ranks[0] < ranks[-1] < 1


class TestUnknown:
    def test_the_share_of_accepted_unknown_images_holds_on_average(self):
        rng, shares = np.random.default_rng(0), []
        for _ in range(2000):
            offset = offset_by_unknown(np.array([]), rng.normal(size=29), accepted=0.1)
            shares.append((rng.normal(size=50) >= offset).mean())
        assert 0.1 - 1 / 30 < np.mean(shares) < 0.1 + 0.005

    @pytest.mark.parametrize("cost", [0.01, 0.5, 2.0, 100.0])
    def test_the_cost_is_the_smallest_of_all_thresholds(self, cost):
        rng = np.random.default_rng(1)
        known, unknown = rng.normal(1, 1, 40), rng.normal(-1, 1, 30)

        def price(t):
            return (known < t).mean() + cost * (unknown >= t).mean()

        found = offset_by_unknown(known, unknown, cost=cost)
        every = np.concatenate([known, unknown, np.nextafter(unknown, np.inf), [-9, 9]])
        assert price(found) == pytest.approx(min(map(price, every)))

    @pytest.mark.parametrize(
        ("choice", "message"),
        [
            ({}, "either accepted"),
            ({"accepted": 0.1, "cost": 1}, "either accepted"),
            ({"accepted": 0.05}, "5 unknown images are too few for accepted=0.05: at least 19"),
            ({"accepted": 2}, "accepted"),
            ({"cost": -1}, "cost"),
        ],
    )
    def test_what_cannot_be_chosen_is_refused(self, choice, message):
        with pytest.raises(InputError, match=message):
            offset_by_unknown(np.arange(5.0), np.arange(5.0), **choice)


def test_shares_at_the_edge_of_floating_point():
    assert conformal_offset([1.0, 2.0, 3.0], 1 - 1e-16) == 3.0
    assert 2**61 <= smallest_calibration_set(5e-324) < 2**63
    with pytest.raises(InputError, match="too few"):
        conformal_offset([1.0, 2.0, 3.0], 5e-324)


def test_scores_that_are_not_finite_set_no_threshold():
    with pytest.raises(InputError, match="NaN or infinite"):
        Calibrator.of(np.eye(3), None, np.array([0.0, np.nan, 1.0]), 0.5, "the threshold")


class TestCalibrator:
    """What sets a threshold, and what it says of itself."""

    def test_enough_images_set_the_conformal_threshold(self):
        images, scores = np.eye(4), np.array([3.0, 1.0, 2.0, 4.0])
        shift = np.ones((4, 2))
        found = Calibrator.of(images, ["a", "b", "a", "b"], scores, 0.5, shift=shift)
        assert found.offset == conformal_offset(scores, 0.5) == 2.0
        assert found.scores.tolist() == [1.0, 2.0, 3.0, 4.0]
        assert found.images is images
        assert found.names == ["a", "b", "a", "b"]
        assert found.shift is shift
        assert Calibrator.of(images, None, scores, 0.5).shift is None

    def test_too_few_are_an_error_or_a_warning_and_their_smallest_score(self):
        scores = np.array([3.0, 1.0, 2.0])
        with pytest.raises(InputError, match="too few"):
            Calibrator.of(np.eye(3), None, scores, 0.05)
        with pytest.warns(CalibrationWarning, match="the threshold comes from 3 images.* least 19"):
            assert Calibrator.of(np.eye(3), None, scores, 0.05, "the threshold").offset == 1.0

    def test_the_centre_is_that_of_embeddings_alone(self):
        rows = np.array([[1.0, 2.0], [3.0, 6.0]], dtype=np.float16)

        def centre(images):
            return Calibrator(images, None, np.zeros(2), 0.0).centre

        assert centre(rows).tolist() == centre(SimpleNamespace(embeddings=rows)).tolist() == [2.0, 4.0]
        assert centre(rows).dtype == np.float64
        for other in (["a.png", "b.png"], np.zeros(2), np.zeros((2, 3, 4, 4)), None):
            assert centre(other) is None

    def test_it_knows_whether_unknown_images_have_set_it(self):
        known, unknown = np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0, 2.5])
        by_known = Calibrator.of(np.eye(3), None, known, 0.5)
        assert not by_known.is_by_unknown
        for choice in ({"accepted": 0.5}, {"cost": 1.0}, {"cost": 9.0}, {"cost": 0.1}):
            assert replace(by_known, offset=offset_by_unknown(known, unknown, **choice)).is_by_unknown

    def test_what_a_detector_shows_of_it(self):
        one = Calibrator(np.eye(2), ["a", "b"], np.array([1.0, 4.0]), 1.0, np.ones((2, 2)))
        assert one.spread == 1.5
        assert one.attributes() == {
            "calibration_embeddings_": one.images, "calibration_names_": one.names,
            "calibration_scores_": one.scores, "calibration_shift_": one.shift,
            "calibration_groups_": None, "offset_": 1.0,
        }  # fmt: skip
        assert one.p_values(np.array([0.0, 1.0, 9.0])).tolist() == [1 / 3, 2 / 3, 1.0]
        with pytest.raises(InputError, match="NaN or infinite"):
            one.p_values(np.array([np.nan]))


@pytest.mark.parametrize("good", ["auto", "cross", "holdout", "train", 0.01, 0.99, np.float32(0.5)])
def test_a_rule_or_a_share_says_which_images_calibrate(good):
    check_calibration(good)


@pytest.mark.parametrize("bad", ["other", "Auto", "", 0, 0.0, 1, 1.0, -0.1, 1.5, True, False, np.nan])
def test_other_rules_and_shares_are_refused(bad):
    with pytest.raises(InputError, match="calibration must be one of"):
        check_calibration(bad)


class TestSplitForCalibration:
    def test_holdout_is_a_fifth_and_a_share_is_a_share(self):
        targets = np.repeat([0, 1], 50)
        for calibration, n in (("holdout", 20), (0.3, 30), (0.19, 19)):
            train, held_out = split_for_calibration(targets, calibration, 0.05, np.random.RandomState(0))
            assert len(held_out) == n
            assert sorted([*train, *held_out]) == list(range(100))
        with pytest.raises(InputError, match="holds out 18 of 100 images.*contamination=0.05 needs 19"):
            split_for_calibration(targets, 0.18, 0.05, np.random.RandomState(0))

    def test_of_each_group_held_out_one_image_calibrates(self):
        targets, groups = np.repeat([0, 1], 60), np.arange(120) // 3
        train, held_out = split_for_calibration(targets, 0.5, 0.05, np.random.RandomState(0), groups)
        assert len(held_out) == len(set(groups[held_out])) == 20
        assert not set(groups[train]) & set(groups[held_out])
        assert len(train) == 60
        with pytest.raises(InputError, match="holds out 4 of 40 groups of images"):
            split_for_calibration(targets, 0.1, 0.05, np.random.RandomState(0), groups)

    def test_any_image_of_a_group_may_be_the_one(self):
        groups = np.array([1, 0, 1, 0, 1, 7])
        drawn = [one_of_each(groups, np.random.RandomState(seed)).tolist() for seed in range(60)]
        assert all(sorted(groups[rows]) == [0, 1, 7] and rows == sorted(rows) for rows in drawn)
        assert {row for rows in drawn for row in rows} == set(range(6))


def test_groups_stay_on_one_side():
    targets, groups = np.repeat([0, 1, 2], [12, 8, 2]), np.arange(22) // 2 + 5
    sides = set()
    for seed in range(30):
        train, held_out = split_holdout(targets, 0.4, np.random.RandomState(seed), groups)
        assert sorted([*train, *held_out]) == list(range(22))
        assert not set(groups[train]) & set(groups[held_out])
        assert set(targets[train]) == {0, 1, 2}
        assert len(set(groups[held_out])) == round(0.4 * 11)
        assert (np.diff(train) > 0).all()
        assert (np.diff(held_out) > 0).all()
        sides.add(tuple(held_out))
    assert len(sides) > 20
    assert {row for rows in sides for row in rows} == set(range(20))


def test_a_share_too_small_for_one_image_holds_nothing_out():
    train, held_out = split_holdout(np.repeat([0, 1], 5), 0.01, np.random.RandomState(0))
    assert train.tolist() == list(range(10))
    assert held_out.dtype.kind == "i"  # rows are chosen by it
    assert len(held_out) == 0


def test_relative_ranks_by_hand():
    reference = np.array([1.0, 2.0, 2.0, 5.0])
    # Places 1/5, (2 + 3)/2/5 and 4/5; the median is 2.
    scores = np.array([1.0, 1.5, 2.0, 3.5, 5.0, 0.0, -1.0, 8.0, 11.0])
    expected = [0.2, 0.35, 0.5, 0.65, 0.8, 0.1, 0.2 / 3, 0.9, 1 - 0.2 / 3]
    np.testing.assert_allclose(relative_ranks(scores, reference), expected)
    # Without a spread the distances count as they are.
    np.testing.assert_allclose(relative_ranks(np.array([1.0, 2.0, 3.0]), np.array([2.0])), [0.25, 0.5, 0.75])


@pytest.mark.parametrize(("share", "n"), [(0.05, 19), (0.01, 99), (0.1, 9), (0.3, 3), (0.5, 1), (0.9, 1)])
def test_the_fewest_images_for_a_share(share, n):
    assert smallest_calibration_set(share) == n


def test_thresholds_by_hand():
    scores = [5.0, 1.0, 4.0, 2.0, 3.0]
    for share, offset in ((0.2, 1.0), (0.34, 2.0), (0.5, 3.0), (0.99, 5.0)):
        assert conformal_offset(scores, share) == offset
    unknown = np.array([1.0, 4.0, 2.0, 3.0])
    assert offset_by_unknown(np.array([]), unknown, accepted=0.2) == np.nextafter(4.0, np.inf)
    assert offset_by_unknown(np.array([]), unknown, accepted=0.4) == np.nextafter(3.0, np.inf)
    # Above 1.9 one of four known images is rejected, and one of four unknown ones accepted: 0.625 in all.
    known, unknown = np.array([1.5, 2.5, 2.6, 4.5]), np.array([0.0, 1.0, 1.9, 3.0])
    assert offset_by_unknown(known, unknown, cost=1.5) == np.nextafter(1.9, np.inf)
