"""What images say: the formula by hand, invariances, hard shapes, folds."""

import numpy as np
import pytest

from skneg.errors import InputError
from skneg.evidence import (
    N_FOLDS,
    ImageEvidence,
    cross_fit_apart,
    folds,
    folds_of_classes,
    groups_of_classes,
    taught_to_all,
)

from .data import clusters, cross_fit


class TestImageEvidence:
    def test_the_formula(self):
        X, y = clusters([5, 4, 7], d=6)
        Z = clusters([2, 2, 2], d=6, seed=1)[0].astype(np.float64)
        means = np.stack([X[y == c].mean(axis=0) for c in range(3)]).astype(np.float64)
        centre = means.mean(axis=0)
        within, between = X - means[y], means - centre
        covariance = (within.T @ within + between.T @ between / 2 / 2) / (16 - 3 + 1)
        covariance = 0.2 * covariance + 0.8 * np.trace(covariance) / 6 * np.eye(6)
        inverse = np.linalg.inv(covariance)
        expected = np.empty((6, 3))
        for i, z in enumerate(Z):
            background = np.log(1 + (z - centre) @ inverse @ (z - centre)) / 2
            for c, n_c in enumerate([5, 4, 7]):
                spread = 1 + 1 / n_c
                square = (z - means[c]) @ inverse @ (z - means[c]) / spread
                expected[i, c] = background - np.log(1 + square) - np.log(spread) / 2
        np.testing.assert_allclose(ImageEvidence.of(X, y)(Z), expected, atol=1e-4)

    def test_a_rotation_of_the_space_changes_nothing(self):
        X, y = clusters([5, 4, 7])
        turn = np.linalg.qr(np.random.default_rng(2).normal(size=(16, 16)))[0].astype(np.float32)
        Z = clusters([3, 3, 3], seed=3)[0]
        np.testing.assert_allclose(
            ImageEvidence.of(X @ turn, y)(Z @ turn), ImageEvidence.of(X, y)(Z), atol=1e-4
        )

    def test_the_order_of_images_and_classes_changes_nothing(self):
        X, y = clusters([5, 4, 7])
        Z = clusters([3, 3, 3], seed=3)[0]
        order = np.random.default_rng(0).permutation(len(X))
        expected = ImageEvidence.of(X, y)(Z)
        np.testing.assert_allclose(ImageEvidence.of(X[order], y[order])(Z), expected, atol=1e-4)
        renamed = np.array([2, 0, 1])
        np.testing.assert_allclose(ImageEvidence.of(X, renamed[y])(Z)[:, renamed], expected, atol=1e-4)

    @pytest.mark.parametrize(
        ("counts", "d"),
        [
            ([1], 8), ([5], 8), ([1, 1, 1], 8), ([1] * 30, 8), ([1] * 50 + [2], 16), ([1, 200], 8),
            ([3] * 40, 8), ([2, 2], 64),
        ],
    )  # fmt: skip
    def test_hard_shapes_give_finite_numbers(self, counts, d):
        X, y = clusters(counts, d)
        evidence = ImageEvidence.of(X, y)(np.concatenate([X, clusters([9], d, seed=5)[0]]))
        assert evidence.shape == (len(X) + 9, len(counts))
        assert np.isfinite(evidence).all()
        assert np.abs(evidence).max() < 30

    def test_duplicates_and_constant_columns(self):
        X, y = clusters([4, 4], d=8)
        X[:4], X[:, 0] = X[0], 0.0
        assert np.isfinite(ImageEvidence.of(X, y)(X)).all()
        one = clusters([1], d=128)[0].repeat(60, axis=0)
        of_one = ImageEvidence.of(one, np.repeat([0, 1, 2], 20))(one)
        np.testing.assert_allclose(of_one, -np.log(1 + 1 / 20) / 2, atol=1e-6)  # not a matter of rounding
        same = np.ones((6, 4), dtype=np.float32) / 2
        assert np.isfinite(ImageEvidence.of(same, np.array([0, 0, 0, 1, 1, 1]))(same)).all()

    def test_one_class_has_the_spread_of_its_images(self):
        X, _ = clusters([6], d=4)
        covariance = np.cov(X.T, bias=True) * 6 / 5
        covariance = 0.2 * covariance + 0.8 * np.trace(covariance) / 4 * np.eye(4)
        z = clusters([1], d=4, seed=3)[0][0].astype(np.float64)
        square = (z - X.mean(axis=0)) @ np.linalg.inv(covariance) @ (z - X.mean(axis=0))
        expected = np.log(1 + square) / 2 - np.log(1 + square / (7 / 6)) - np.log(7 / 6) / 2
        found = ImageEvidence.of(X, np.zeros(6, dtype=int))(z[None])
        np.testing.assert_allclose(found, [[expected]], atol=1e-4)

    def test_statistics_are_in_float64_and_kept_in_float32(self):
        X, y = clusters([5, 4, 7])
        half = X.astype(np.float16)
        found, expected = ImageEvidence.of(half, y), ImageEvidence.of(half.astype(np.float64), y)
        for name in ("centre", "whitener", "means"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
            assert getattr(found, name).dtype == np.float32
        assert found(half).dtype == np.float64
        np.testing.assert_allclose(found(half), found(half.astype(np.float64)))

    @pytest.mark.parametrize(("spread", "are_one"), [(3e-5, False), (3e-6, True)])
    def test_only_rounding_is_no_difference(self, spread, are_one):
        X, y = clusters([9], spread=spread)
        assert (ImageEvidence.of(X, y).whitener == np.eye(16)).all() == are_one

    @pytest.mark.parametrize(
        "spoil",
        [
            {"centre": np.zeros(3)}, {"whitener": np.eye(3)}, {"whitener": np.zeros((4, 3))},
            {"means": np.zeros((2, 3))}, {"means": np.zeros((3, 4))}, {"counts": np.ones(3, dtype=int)},
            {"counts": np.ones((2, 1), dtype=int)}, {"counts": np.array([1, 0])},
            {"counts": np.array([-1, 2])},
        ],
    )  # fmt: skip
    def test_parts_that_do_not_fit_together_are_refused(self, spoil):
        fitting = {"centre": np.zeros(4), "whitener": np.eye(4), "means": np.zeros((2, 4)),
                   "counts": np.array([1, 2])}  # fmt: skip
        ImageEvidence(**fitting)
        with pytest.raises(InputError):
            ImageEvidence(**{**fitting, **spoil})


class TestAdd:
    @pytest.mark.parametrize(
        ("own", "groups"),
        [
            ([0, 0, 2, 1, 0], None),
            ([0, 0, 2, 1, 0], [0, 0, 1, 2, 1]),  # two in a group, one group of two classes
            ([3, 4, 3, 0, 0], None),  # new classes of two images and of one
            ([3, 3, 4, 4, 4], [0, 0, 1, 2, 2]),  # a new class of one group
            ([1], None),
        ],
    )
    def test_by_hand(self, own, groups):
        own, groups = np.array(own), None if groups is None else np.array(groups)
        old = ImageEvidence.of(*clusters([5, 4, 7], d=6))
        Z = clusters([len(own)], d=6, seed=1)[0].astype(np.float64)
        U = (Z - old.centre) @ old.whitener
        k = max(3, own.max() + 1)
        counts = [(old.counts[c] if c < 3 else 0) + (own == c).sum() for c in range(k)]
        sums = [
            (old.means[c] * float(old.counts[c]) if c < 3 else 0) + U[own == c].sum(axis=0) for c in range(k)
        ]
        new, evidence = old.add(Z, own, groups)
        assert new.counts.tolist() == counts
        np.testing.assert_allclose(new.means, np.array(sums) / np.array(counts)[:, None], rtol=1e-5)
        assert new.means.dtype == np.float32
        assert new.centre is old.centre
        assert new.whitener is old.whitener
        expected = new(Z)
        for i, c in enumerate(own):
            mine = (np.arange(len(own)) == i) if groups is None else (own == c) & (groups == groups[i])
            left = counts[c] - mine.sum()
            expected[i, c] = np.nan
            if left:
                gap = U[i] - (sums[c] - U[mine].sum(axis=0)) / left
                of_own = np.log(1 + gap @ gap / (1 + 1 / left)) + np.log(1 + 1 / left) / 2
                expected[i, c] = np.log(1 + U[i] @ U[i]) / 2 - of_own
        np.testing.assert_allclose(evidence, expected, rtol=1e-6)


class TestCrossFit:
    @pytest.mark.parametrize(
        ("counts", "groups", "rows"),
        [
            ([6, 7, 5], None, slice(None)),
            ([6, 7, 1, 5], None, [3, 13, 0, 18]),
            ([6, 7, 5], np.arange(18) // 2, slice(None)),
            ([6, 7, 2], np.arange(15) // 2, slice(None)),  # one group is of two classes
            ([6, 7, 2], np.minimum(np.arange(15) // 2, 6) + (np.arange(15) > 12), slice(None)),
            ([1] * 7, None, [0, 3, 5]),
        ],
    )
    def test_each_image_by_those_of_other_folds(self, counts, groups, rows):
        X, y = clusters(counts, d=6)
        rows = np.arange(len(y))[rows]
        fold = folds(y, N_FOLDS, np.random.RandomState(3), groups)
        alone = taught_to_all(y, groups)
        if not alone.all():
            fold[alone] = -1
        found = cross_fit(X, y, rows, np.random.RandomState(3), groups)
        for row, evidence in zip(rows, found, strict=True):
            rest = fold != fold[row]
            present = np.unique(y[rest]) if fold[row] >= 0 else []
            expected = np.full(len(counts), np.nan)
            if len(present):
                numbers = np.searchsorted(present, y[rest])
                expected[present] = ImageEvidence.of(X[rest], numbers)(X[[row]])[0]
            np.testing.assert_allclose(evidence, expected, rtol=1e-6)

    @pytest.mark.parametrize("counts", [[6, 7, 5, 4], [6, 1, 5, 4, 2, 3, 9]])
    def test_some_classes_play_unknown(self, counts):
        X, y = clusters(counts, d=6)
        rows, fold = np.arange(len(y))[1::2], folds_of_classes(y, np.random.RandomState(3), None)
        group = np.arange(len(counts)) % 3
        found = cross_fit_apart(ImageEvidence.of, X, y, rows, fold, group)
        assert found.shape == (2, len(rows), len(counts))
        n_known = 0
        for i, row in enumerate(rows):
            for side, out in ((0, fold[row]), (1, group[y[row]])):
                expected = np.full(len(counts), np.nan)
                if 0 <= out < 3 and (side or group[y[row]] != out):
                    rest = (fold != out) & (group[y] != out)
                    present, numbers = np.unique(y[rest], return_inverse=True)
                    expected[present] = ImageEvidence.of(X[rest], numbers)(X[[row]])[0]
                    n_known += side == 0
                np.testing.assert_allclose(found[side, i], expected, rtol=1e-6)
        assert n_known > 1

    def test_folds_for_it_leave_out_what_teaches_all(self):
        y = np.array([0, 0, 1, 2, 2])
        fold = folds_of_classes(y, np.random.RandomState(0), None)
        assert fold[2] == -1
        assert (np.delete(fold, 2) >= 0).all()
        assert (folds_of_classes(np.arange(4), np.random.RandomState(0), None) >= 0).all()

    def test_an_image_that_is_alone_teaches_all(self):
        X, y = clusters([1, 4, 5])
        before = cross_fit(X, y, np.arange(1, 10), np.random.RandomState(0))
        X[0] = -X[0]
        after = cross_fit(X, y, np.arange(1, 10), np.random.RandomState(0))
        assert (np.abs(after - before)[:, 0] > 1e-6).all()

    def test_one_image_learns_nothing_from_others(self):
        X, y = clusters([1])
        assert np.isnan(cross_fit(X, y, np.array([0]), np.random.RandomState(0))).all()

    def test_which_images_teach_all_folds(self):
        y = np.array([0, 0, 1, 1, 2, 3])
        assert taught_to_all(y).tolist() == [False, False, False, False, True, True]
        # Class 1 and class 2 are one group each, but an image of class 0 is in that of class 2.
        groups = np.array([0, 1, 2, 2, 1, 3])
        assert taught_to_all(y, groups).tolist() == [False, False, True, True, False, True]

    @pytest.mark.parametrize("n_folds", [2, 5])
    def test_every_class_is_shared_out_evenly_and_at_random(self, n_folds):
        y = np.random.RandomState(1).permutation(np.repeat([0, 1, 2], [11, 4, 5]))
        every = np.array([folds(y, n_folds, np.random.RandomState(seed)) for seed in range(40)])
        for fold in every:
            for c in range(3):
                sizes = np.bincount(fold[y == c], minlength=n_folds)
                assert sizes.max() - sizes.min() <= 1
                assert len(sizes) == n_folds
        assert all(set(fold) == set(range(n_folds)) for fold in every.T)  # any image in any fold

    def test_single_images_of_many_classes_are_in_all_folds(self):
        assert set(folds(np.arange(40), 5, np.random.RandomState(0))) == set(range(5))

    def test_groups_of_any_classes_are_shared_out_by_turns(self):
        y, groups = np.repeat([0, 1, 2], [8, 6, 4]), np.repeat(np.arange(9), 2) * 7
        every = np.array([folds(y, 4, np.random.RandomState(seed), groups) for seed in range(40)])
        for fold in every:
            of_group = fold[::2]
            assert (fold[1::2] == of_group).all()
            assert sorted(np.bincount(of_group, minlength=4)) == [2, 2, 2, 3]
            assert sorted(np.bincount(of_group[:4], minlength=4)) == [1, 1, 1, 1]
        assert all(set(fold) == set(range(4)) for fold in every.T[:8])

    def test_an_image_is_measured_by_the_images_of_other_folds(self):
        X, y = clusters([4, 4, 4])
        rows = np.arange(12)
        found = cross_fit(X, y, rows, np.random.RandomState(0))
        moved = X.copy()
        moved[5] = -X[5]
        again = cross_fit(moved, y, rows, np.random.RandomState(0))
        changed = np.abs(found - again).max(axis=1) > 1e-6
        assert changed[5]  # another image
        assert not changed.all()  # images of its own fold have not seen it
        assert np.isfinite(found).all()

    def test_a_single_image_teaches_all_folds_and_has_no_evidence_itself(self):
        X, y = clusters([1, 4, 1])
        found = cross_fit(X, y, np.arange(6), np.random.RandomState(0))
        assert np.isnan(found[[0, 5]]).all()
        assert np.isfinite(found[1:5]).all()

    def test_where_all_are_single_they_see_each_other(self):
        X, y = clusters([1] * 10)
        found = cross_fit(X, y, np.arange(10), np.random.RandomState(0))
        assert np.isnan(found[y, y]).all()
        assert np.isfinite(found).sum(axis=1).tolist() == [8] * 10

    def test_a_group_is_in_one_fold(self):
        y, groups = np.repeat([0, 1, 2], [6, 5, 3]), np.array([0, 0, 1, 1, 2, 2, 3, 3, 3, 4, 4, 5, 5, 5])
        fold = folds(y, 2, np.random.RandomState(0), groups)
        assert all(len(set(fold[groups == group])) == 1 for group in range(6))
        assert set(fold[y == 0]) == set(fold[y == 1]) == {0, 1}
        assert groups_of_classes(y, groups).tolist() == [3, 2, 1]
        assert groups_of_classes(y).tolist() == [6, 5, 3]

    def test_halves_share_out_every_class(self):
        y = np.repeat([0, 1, 2], [4, 5, 1])
        half = folds(y, 2, np.random.RandomState(0))
        assert sorted(np.bincount(half[y == 0])) == [2, 2]
        assert sorted(np.bincount(half[y == 1])) == [2, 3]
