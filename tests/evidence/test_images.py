"""What images say: the formula by hand, invariances, hard shapes, folds."""

import numpy as np
import pytest

from skneg.evidence import ImageEvidence, cross_fit, folds, groups_of_classes

from .data import clusters


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


class TestCrossFit:
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
