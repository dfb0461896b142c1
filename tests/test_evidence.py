"""Words and images in one score: formulas by hand, invariances, hard shapes of data."""

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.special import log_softmax, logsumexp, softmax

from skneg import evidence as module
from skneg.evidence import (
    CrossFitted,
    ImageEvidence,
    JointScore,
    cross_fit,
    information,
    posterior_weights,
    two_halves,
)


def clusters(counts, d=16, seed=0, spread=0.3):
    """Unit-norm embeddings around random directions, and their classes."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(counts)), counts)
    X = rng.normal(size=(len(counts), d))[y] / np.sqrt(d) + spread * rng.normal(size=(len(y), d)) / np.sqrt(d)
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32), y


def fit(X, y, seed=0, text=True, **parameters):
    k = y.max() + 1
    means = np.stack([X[y == c].mean(axis=0) for c in range(k)])

    def text_of(rows):
        logits = 20.0 * X[rows] @ means.T
        return logits, logsumexp(logits, axis=1)

    names = [f"c{c}" for c in range(k)]
    return JointScore.fit(X, y, names, np.random.RandomState(seed), text_of if text else None, **parameters)


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
                square = (z - means[c]) @ inverse @ (z - means[c]) / (1 + 1 / n_c)
                expected[i, c] = background - np.log(1 + square)
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

    def test_a_single_image_has_no_evidence_of_its_own(self):
        X, y = clusters([1, 4, 1])
        found = cross_fit(X, y, np.arange(6), np.random.RandomState(0))
        assert np.isnan(found[[0, 5], [0, 2]]).all()
        assert np.isfinite(found[1:5, 1]).all()

    def test_images_of_a_group_are_left_out_together(self):
        X, y = clusters([6, 6])
        groups = np.repeat(np.arange(6), 2)
        X[1::2] = X[::2]  # each image twice
        apart = cross_fit(X, y, np.arange(12), np.random.RandomState(0))
        together = cross_fit(X, y, np.arange(12), np.random.RandomState(0), groups)
        own = np.arange(12), y
        assert together[own].mean() < apart[own].mean() - 0.2

    def test_halves_share_out_every_class(self):
        y = np.repeat([0, 1, 2], [4, 5, 1])
        half = two_halves(y, np.random.RandomState(0))
        assert sorted(np.bincount(half[y == 0])) == [2, 2]
        assert sorted(np.bincount(half[y == 1])) == [2, 3]


class TestWeights:
    def test_information_is_the_share_of_the_entropy_at_the_best_temperature(self):
        y = np.array([0, 0, 0, 1])
        entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
        prior = np.log(np.tile([0.75, 0.25], (4, 1)))
        assert information(prior, y) == pytest.approx(0, abs=1e-6)
        logits = np.array([[2.0, 0], [2, 0], [2, 0], [1, 0]])  # one image on the wrong side
        losses = [
            -log_softmax(t * logits, axis=1)[np.arange(4), y].mean() for t in np.linspace(0.01, 20, 20000)
        ]
        assert information(logits, y) == pytest.approx(max(0, 1 - min(losses) / entropy), abs=1e-5)
        assert information(np.eye(2)[y] * 5, y) == 0.99
        assert information(np.eye(2)[[1, 1, 1, 1]], np.zeros(4, dtype=int)) == 0

    def test_the_gradient_of_the_posterior_weights_is_that_of_their_loss(self, monkeypatch):
        rng = np.random.default_rng(0)
        text, images, y = rng.normal(size=(30, 4)), rng.normal(size=(30, 4)), rng.integers(4, size=30)
        caught = {}

        def look(loss, start, **options):
            caught["loss"] = loss
            return real(loss, start, **options)

        real = module.minimize
        monkeypatch.setattr(module, "minimize", look)
        a, b = posterior_weights(text, images, y)
        loss = caught["loss"]
        for point in ([0.0, 0.0], [0.5, -1.0]):
            assert check_grad(lambda u: loss(u)[0], lambda u: loss(u)[1], point) < 1e-4
        grid = [loss(np.array([u, v]))[0] for u in np.linspace(-4, 1.5, 56) for v in np.linspace(-4, 3, 71)]
        assert loss(np.log([a / 1, b / 8]))[0] <= min(grid) + 1e-6

    def test_what_knows_nothing_about_the_labels_counts_for_nothing(self):
        X, y = clusters([8, 8, 8], spread=0.2)
        rng = np.random.default_rng(0)

        def noise(rows):
            return rng.normal(size=(len(rows), 3)), rng.normal(size=len(rows))

        joint, _, _ = JointScore.fit(X, y, ["a", "b", "c"], np.random.RandomState(0), noise)
        assert joint.weights[1] == 1
        assert joint.weights[0] < 0.2


class TestJointScore:
    def test_parts_and_score_by_hand(self):
        X, y = clusters([6, 6, 6])
        joint, _, _ = fit(X, y)
        rng = np.random.default_rng(1)
        logits, text, G = rng.normal(size=(5, 3)), rng.normal(size=5), rng.normal(size=(5, 3))
        p = softmax(joint.posterior[0] * logits + joint.posterior[1] * G, axis=1)
        top = p.max(axis=1)
        parts = np.stack([text, (p * G).sum(axis=1), np.log(top / (1 - top))], axis=1)
        np.testing.assert_allclose(joint.parts(logits, text, G), parts, atol=1e-8)
        expected = (joint.weights * (parts - joint.centres) / joint.scales).sum(axis=1)
        np.testing.assert_allclose(joint.score(parts), expected)

    def test_it_separates_what_no_class_resembles(self):
        X, y = clusters([10] * 5)
        joint, _, cross_fitted = fit(X, y)
        strange = clusters([50], seed=9)[0]
        text = (np.zeros((50, 5)), np.zeros(50))
        known = joint.parts(np.zeros((50, 5)), np.zeros(50), cross_fitted.evidence)
        assert np.median(joint.score(known)) > np.median(
            joint.score(joint.parts(*text, joint.images(strange)))
        )

    @pytest.mark.parametrize("text", [True, False])
    @pytest.mark.parametrize("counts", [[1], [9], [1, 1, 1], [1] * 50 + [2], [1, 30], [2, 2], [20, 1, 7]])
    def test_any_number_of_images_gives_finite_scores(self, counts, text):
        X, y = clusters(counts)
        joint, rows, cross_fitted = fit(X, y, text=text)
        assert len(rows) == len(cross_fitted) >= 1
        k = len(counts)
        scores = joint.score(joint.parts(np.zeros((len(X), k)), np.zeros(len(X)), joint.images(X)))
        assert np.isfinite(scores).all()
        assert np.abs(scores).max() < 1e4
        assert 0 <= joint.weights.min() <= joint.weights.max() == 1

    def test_without_text_it_counts_for_nothing(self):
        joint, _, _ = fit(*clusters([8, 8]), text=False)
        assert joint.weights[0] == 0
        assert joint.weights[1] == 1

    def test_classes_are_found_by_name_and_others_are_neutral(self):
        X, y = clusters([5, 5, 5])
        joint, _, cross_fitted = fit(X, y)
        for Z, whole in ((X, joint.images(X)), (cross_fitted, cross_fitted.evidence)):
            found = joint.evidence(Z, ["c2", "new", "c0"])
            np.testing.assert_array_equal(found[:, [0, 2]], whole[:, [2, 0]])
            assert (found[:, 1] == joint.neutral).all()

    def test_the_same_seed_gives_the_same_bits(self):
        X, y = clusters([7, 3, 5])
        one, other = fit(X, y), fit(X, y)
        for name in ("posterior", "weights", "centres", "scales"):
            np.testing.assert_array_equal(getattr(one[0], name), getattr(other[0], name))
        np.testing.assert_array_equal(one[2].evidence, other[2].evidence)

    def test_very_many_cells_are_cut_to_a_part_of_the_images(self, monkeypatch):
        X, y = clusters([6] * 10)
        monkeypatch.setattr(module, "_CELLS", 200)
        monkeypatch.setattr(module, "_ROWS", 2)
        _, rows, cross_fitted = fit(X, y)
        assert len(rows) == len(cross_fitted) == 20
        assert (np.diff(rows) > 0).all()

    def test_rows_of_cross_fitted_images_are_chosen_as_of_an_array(self):
        X, y = clusters([4, 4])
        _, _, whole = fit(X, y)
        part = whole[np.array([3, 1])]
        np.testing.assert_array_equal(np.asarray(part), X[[3, 1]])
        np.testing.assert_array_equal(part.evidence, whole.evidence[[3, 1]])
        assert isinstance(part, CrossFitted)
        assert part.shape == (2, 16)


def test_false_rejections_are_about_the_promised_share():
    rejected = []
    for seed in range(40):
        X, y = clusters([10] * 6, d=24, seed=seed, spread=0.5)
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(X))
        train, new = order[::2], order[1::2]
        joint, _, cross_fitted = JointScore.fit(
            X[train], y[train], list("abcdef"), np.random.RandomState(seed)
        )

        def score(evidence, joint=joint):
            zeros = np.zeros(evidence.shape)
            return joint.score(joint.parts(zeros, zeros[:, 0], evidence))

        offset = np.sort(score(cross_fitted.evidence))[max(int(0.1 * (len(cross_fitted) + 1)) - 1, 0)]
        rejected.append((score(joint.images(X[new])) < offset).mean())
    assert 0.03 < np.mean(rejected) < 0.15
