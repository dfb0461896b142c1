"""The joint score: parts and weights by hand, any number of images, the threshold."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logsumexp, softmax

from skneg import CalibrationWarning, evidence
from skneg.errors import InputError
from skneg.evidence import (
    PARTS,
    CrossFitted,
    ImageEvidence,
    JointScore,
    NearestImages,
    cross_fit_apart,
    folds_of_classes,
    information,
    posterior_weights,
    separation,
)
from skneg.evidence import _joint as module
from skneg.evidence import cross_fit as cross_fit_by

from .data import clusters


def fit(X, y, seed=0, text=True):
    k = y.max() + 1
    means = np.stack([X[y == c].mean(axis=0) for c in range(k)])

    def text_of(rows, struck_out=None):
        logits = 20.0 * X[rows] @ means.T
        kept = logits.copy()
        if struck_out is not None:
            kept[struck_out] = -np.inf
        return logits, logsumexp(kept, axis=1)

    names = [f"c{c}" for c in range(k)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if np.bincount(y).max() == 1 else "error", CalibrationWarning)
        return JointScore.fit(X, y, names, np.random.RandomState(seed), text_of if text else None)


class TestJointScore:
    def test_what_knows_nothing_about_the_labels_counts_for_nothing(self):
        X, y = clusters([8, 8, 8], spread=0.2)
        rng = np.random.default_rng(0)

        def noise(rows, struck_out=None):
            return rng.normal(size=(len(rows), 3)), rng.normal(size=len(rows))

        joint, *_ = JointScore.fit(X, y, ["a", "b", "c"], np.random.RandomState(0), noise)
        assert joint.weights[1] == 1
        assert joint.weights[0] < 0.2

    def test_parts_and_score_by_hand(self):
        X, y = clusters([6, 6, 6])
        joint, *_ = fit(X, y)
        rng = np.random.default_rng(1)
        logits, text, said = rng.normal(size=(5, 3)), rng.normal(size=5), rng.normal(size=(5, 3, 2))
        G, near = said[..., 0], said[..., 1]
        p = softmax(joint.posterior[0] * logits + joint.posterior[1] * G, axis=1)
        top = p.max(axis=1)
        parts = [text, (p * G).sum(axis=1), near.max(axis=1), np.log(top / (1 - top))]
        parts = np.stack(parts, axis=1)
        np.testing.assert_allclose(joint.parts(logits, text, said), parts, atol=1e-8)
        assert PARTS == ("text", "images", "nearest", "clarity")  # as tables and explanations name them
        expected = (joint.weights * (parts - joint.centres) / joint.scales).sum(axis=1)
        np.testing.assert_allclose(joint.score(parts), expected)

    def test_it_separates_what_no_class_resembles(self):
        X, y = clusters([10] * 5)
        joint, *_, cross_fitted = fit(X, y)
        strange = clusters([50], seed=9)[0]
        text = (np.zeros((50, 5)), np.zeros(50))
        known = joint.parts(np.zeros((50, 5)), np.zeros(50), cross_fitted.evidence)
        assert np.median(joint.score(known)) > np.median(joint.score(joint.parts(*text, joint.say(strange))))

    @pytest.mark.parametrize("text", [True, False])
    @pytest.mark.parametrize("counts", [[1], [9], [1, 1, 1], [1] * 50 + [2], [1, 30], [2, 2], [20, 1, 7]])
    def test_any_number_of_images_gives_finite_scores(self, counts, text):
        X, y = clusters(counts)
        joint, rows, _, cross_fitted = fit(X, y, text=text)
        assert len(rows) == len(cross_fitted) >= 1
        k = len(counts)
        scores = joint.score(joint.parts(np.zeros((len(X), k)), np.zeros(len(X)), joint.say(X)))
        assert np.isfinite(scores).all()
        assert np.abs(scores).max() < 1e4
        assert 0 <= joint.weights.min() <= joint.weights.max() == 1

    def test_without_text_it_counts_for_nothing(self):
        joint, *_ = fit(*clusters([8, 8]), text=False)
        assert joint.weights[0] == 0
        assert joint.weights[1] == 1

    def test_classes_are_found_by_name_and_others_say_nothing(self):
        X, y = clusters([5, 5, 5])
        joint, *_, cross_fitted = fit(X, y)
        for Z, whole in ((X, joint.say(X)), (cross_fitted, cross_fitted.evidence)):
            found = joint.evidence(Z, ["c2", "new", "c0"])
            np.testing.assert_array_equal(found[:, [0, 2]], whole[:, [2, 0]])
            assert np.isnan(found[:, 1]).all()
        logits, text = np.zeros((15, 3)), np.zeros(15)
        found = joint.evidence(X, ["c2", "new", "c0"])
        G, near = found[..., 0], found[..., 1]
        p = softmax(joint.logits(logits, found), axis=1)
        np.testing.assert_allclose(
            joint.logits(logits, found), joint.posterior[1] * np.where(np.isnan(G), joint.neutral, G)
        )
        parts = joint.parts(logits, text, found)
        usual = np.where(np.isnan(G), joint.centres[1], G)
        np.testing.assert_allclose(parts[:, 1], (p * usual).sum(axis=1))
        # As likely as an image is of the class without images, as usual is how near its nearest one is.
        expected = (1 - p[:, 1]) * np.nanmax(near, axis=1) + p[:, 1] * joint.centres[2]
        np.testing.assert_allclose(parts[:, 2], expected)
        nothing = joint.parts(logits, text, np.full((15, 3, 2), np.nan))
        np.testing.assert_allclose(nothing[:, 1:3], np.tile(joint.centres[1:3], (15, 1)))

    def test_parts_of_a_class_are_those_of_the_mixture_where_one_class_has_it_all(self):
        joint, *_ = fit(*clusters([5, 5, 5]))
        logits = np.array([[90.0, 0, 0], [0, 90, 0]]) / joint.posterior[0]
        text, G = np.array([1.0, 2.0]), np.array([[0.5, -3, -3], [-3, 0.25, -3]])
        said = np.stack([G, G], axis=2)
        parts = joint.parts(logits, text, said)
        of_classes = joint.class_parts(parts, logits, said)
        np.testing.assert_allclose(of_classes[[0, 1], [0, 1]], parts, atol=1e-6)
        assert (joint.score(of_classes)[:, 2] < joint.score(parts) - 1).all()

    def test_the_same_seed_gives_the_same_bits(self):
        X, y = clusters([7, 3, 5])
        one, other = fit(X, y), fit(X, y)
        for name in ("posterior", "weights", "centres", "scales"):
            np.testing.assert_array_equal(getattr(one[0], name), getattr(other[0], name))
        np.testing.assert_array_equal(one[-1].evidence, other[-1].evidence)

    def test_very_many_cells_are_cut_to_a_part_of_the_images(self, monkeypatch):
        X, y = clusters([6] * 10)
        monkeypatch.setattr(module, "_CELLS", 200)
        monkeypatch.setattr(module, "_ROWS", 2)
        _, rows, _, cross_fitted = fit(X, y)
        assert len(rows) == len(cross_fitted) == 20
        assert (np.diff(rows) > 0).all()

    def test_rows_of_cross_fitted_images_are_chosen_as_of_an_array(self):
        X, y = clusters([4, 4])
        *_, whole = fit(X, y)
        part = whole[np.array([3, 1])]
        np.testing.assert_array_equal(np.asarray(part), X[[3, 1]])
        np.testing.assert_array_equal(part.evidence, whole.evidence[[3, 1]])
        assert isinstance(part, CrossFitted)
        assert part.shape == (2, 16)


def texts(k, n, seed=5):
    """Text logits and scores of n images, and those without a class: what `JointScore.fit` asks for."""
    rng = np.random.default_rng(seed)
    logits, text = rng.normal(size=(n, k)), rng.normal(3, 2, size=n)

    def text_of(rows, struck_out=None):
        if struck_out is None:
            return logits[rows], text[rows]
        return logits[rows], text[rows] - 0.3 * (struck_out * (1 + np.arange(k))).sum(axis=1)

    return text_of


class TestFitByHand:
    """Every figure of a fit from its formula."""

    @pytest.mark.parametrize(
        ("counts", "groups"),
        [
            ([6, 7, 5], None),
            ([4, 4, 1, 3], None),
            ([2, 2, 3], None),
            ([6, 7], None),
            ([6, 8, 4], np.arange(18) // 2),
            ([9], None),
            ([2, 1, 1], None),
            ([1, 1, 1], None),
        ],
    )
    @pytest.mark.parametrize("with_text", [True, False])
    @pytest.mark.filterwarnings("ignore:each class has one image")
    def test_all(self, counts, groups, with_text):
        X, y = clusters(counts, d=8, spread=0.8)
        n, k = len(y), len(counts)
        text_of = texts(k, n)
        joint, rows, honest, kept = JointScore.fit(
            X,
            y,
            [f"c{c}" for c in range(k)],
            np.random.RandomState(2),
            text_of if with_text else None,
            groups,
        )
        assert joint.names == [f"c{c}" for c in range(k)]
        rng = np.random.RandomState(2)
        every, all_y = np.arange(n), y
        fold = folds_of_classes(y, rng, groups)
        play = [rng.permutation(k) % min(5, k) for _ in range(3 if k > 2 else 0)]
        rng.permutation(n)  # draws the nearest images; all are kept
        learn_nearest = lambda X, y: NearestImages.of(X, y, np.random.RandomState(0))  # noqa: E731
        evidence = cross_fit_by(ImageEvidence.of, X, y, every, fold)
        near = cross_fit_by(learn_nearest, X, y, every, fold)
        logits, text = text_of(every) if with_text else (np.zeros((n, k)), np.zeros(n))
        knows = information(logits, y) * n / (n + 5) if with_text and k > 1 else 0
        measured = [text.mean(), text.std()]
        own = evidence[every, y]
        few = not np.isfinite(own).any()
        expected_rows = every if few else np.flatnonzero(np.isfinite(own))
        np.testing.assert_array_equal(rows, expected_rows)
        y, evidence, near, logits, text = (part[rows] for part in (y, evidence, near, logits, text))
        number = np.arange(len(rows))

        # Half-way between own classes and the best of the others.
        others = np.where(np.isnan(evidence), -np.inf, evidence)
        others[number, y] = -np.inf
        best = others.max(axis=1)
        sides = [side[np.isfinite(side)] for side in (evidence[number, y], best)]
        neutral = np.mean([side.mean() for side in sides if len(side)]) if any(map(len, sides)) else 0
        assert joint.neutral == pytest.approx(neutral)
        evidence = np.where(np.isnan(evidence) | few, neutral, evidence)
        near = np.where(np.isnan(near), np.nanmean(near), near) if not few else np.zeros(near.shape)
        exact, said = near, np.stack([evidence, near], axis=2).astype(np.float16).astype(np.float64)
        evidence = said[..., 0]
        np.testing.assert_allclose(kept.evidence[..., 0], evidence, rtol=1e-3)
        near = said[..., 1] if joint.nearest is not None else np.zeros(near.shape)
        np.testing.assert_allclose(kept.evidence[..., 1], near, rtol=1e-3)
        assert kept.evidence.dtype == np.float32
        np.testing.assert_array_equal(kept.embeddings, X[rows])
        np.testing.assert_array_equal(joint.images.means, ImageEvidence.of(X, all_y).means)
        if joint.nearest is not None:
            np.testing.assert_allclose(
                np.sort(joint.nearest.embeddings, axis=0), np.sort(X, axis=0), atol=1e-3
            )

        # Trust in what few images say.
        honest_images = 0 if few else len(rows)
        trust, trust_in_text = honest_images / (honest_images + 5), n / (n + 5)
        a, l = (1, 4) if few or k == 1 else posterior_weights(logits, evidence, y)  # noqa: E741
        np.testing.assert_allclose(joint.posterior, [a, l], rtol=1e-5)
        shares = [knows, 0.5, 0]
        if not few and k > 1:
            shares[1] = trust * information(evidence, y) + (1 - trust) * 0.5
            shares[2] = trust * information(a * logits + l * evidence, y)
        odds = np.sqrt(np.array(shares) / (1 - np.array(shares)))
        weights = np.array([*odds[:2] / odds[:2].max(), 0, shares[2] / 2]) if odds[:2].max() else [0, 1, 0, 0]

        parts = replace(joint, centres=np.zeros(4)).parts(logits, text, said)
        usual = np.log([2, 0.35, 0.05, 2])
        spread = np.log(np.maximum([measured[1], *parts.std(axis=0)[1:]], [0.05, 0.05, 0.005, 0.05]))
        trusts = np.array([trust_in_text, trust, trust, trust])
        np.testing.assert_allclose(joint.scales, np.exp(trusts * spread + (1 - trusts) * usual), rtol=1e-5)
        np.testing.assert_allclose(joint.centres, [measured[0], *parts.mean(axis=0)[1:]], rtol=1e-5)

        # Known images against those of classes that play unknown: more of these count more.
        known, unknown = [], []
        for group in play if not few else []:
            found = cross_fit_apart(ImageEvidence.of, X, all_y, rows, fold, group)
            for i in number:
                for side, out, of_side in ((known, fold[rows[i]], 0), (unknown, group[y[i]], 1)):
                    images = found[of_side, i]
                    if np.isnan(images).all():
                        continue
                    is_out = group == out
                    images = np.where(np.isnan(images), neutral, images)[~is_out]
                    score = text_of(rows[[i]], is_out[None])[1] if with_text else np.zeros(1)
                    left = np.stack([images, exact[i][~is_out]], axis=1)[None]
                    of_rest = joint.parts(logits[[i]][:, ~is_out], score, left)
                    side.append((of_rest[0] - joint.centres) / joint.scales)
        if known:
            played = len(np.unique(y))
            learned = separation(np.array(known), np.array(unknown))
            weights = (3 * weights + played * learned) / (3 + played)
            weights /= weights.max()
        assert bool(known) == (k > 2 and not few)
        np.testing.assert_allclose(joint.weights, weights, atol=1e-4)
        assert (joint.nearest is None) == (joint.weights[2] == 0)

        said[..., 1] = near
        of_all = joint.score(joint.parts(logits, text, said))
        of_own = joint.score(joint.class_parts(joint.parts(logits, text, said), logits, said))[number, y]
        np.testing.assert_allclose(honest, np.stack([of_all, of_own], axis=1), rtol=1e-4, atol=1e-5)

    def test_scales_have_a_floor(self):
        X, y = clusters([20, 20], spread=1e-3)
        joint, *_ = JointScore.fit(
            X,
            y,
            ["a", "b"],
            np.random.RandomState(0),
            lambda rows, _=None: (np.eye(2)[y[rows]], np.zeros(len(rows))),
        )
        assert joint.scales[0] == pytest.approx(np.exp((40 * np.log(0.05) + 5 * np.log(2)) / 45))

    def test_parts_of_each_class_by_hand(self):
        joint, *_ = fit(*clusters([5, 5, 5]))
        rng = np.random.default_rng(3)
        logits, text, said = rng.normal(size=(4, 3)), rng.normal(size=4), rng.normal(size=(4, 3, 2))
        said[1, 2] = np.nan
        p = softmax(joint.logits(logits, said), axis=1)
        found = joint.class_parts(joint.parts(logits, text, said), logits, said)
        np.testing.assert_allclose(found[..., 0], text[:, None] + np.log(softmax(logits, axis=1)))
        np.testing.assert_allclose(found[..., 1:3], np.where(np.isnan(said), joint.centres[1:3], said))
        np.testing.assert_allclose(found[..., 3], np.log(p / (1 - p)))
        one = joint.class_parts(np.ones((2, 4)), np.zeros((2, 1)), np.zeros((2, 1, 2)))
        np.testing.assert_allclose(one, [[[1, 0, 0, joint.centres[3]]]] * 2)
        sure = joint.class_parts(np.zeros((1, 4)), np.array([[0.0, 9e3, 0]]), np.zeros((1, 3, 2)))
        assert np.isfinite(sure).all()

    def test_the_posterior_is_that_of_weighted_logits(self):
        joint, *_ = fit(*clusters([5, 5, 5]))
        a, l = joint.posterior  # noqa: E741
        said = np.array([[[4.0, 1], [np.nan, np.nan], [6, 2]]])
        found = joint.logits(np.array([[1.0, 2, 3]]), said)
        np.testing.assert_allclose(found, [[a + 4 * l, 2 * a + joint.neutral * l, 3 * a + 6 * l]])


class TestAdd:
    @pytest.mark.parametrize("groups", [None, np.array([0, 0, 1, 2, 3])])
    @pytest.mark.parametrize("with_nearest", [True, False])
    def test_old_images_keep_their_evidence_and_new_ones_get_theirs(self, groups, with_nearest):
        X, y = clusters([5, 6])
        joint, _, _, seen = fit(X, y)
        near_old = NearestImages.of(X, y, np.random.RandomState(0)) if with_nearest else None
        joint = replace(joint, nearest=near_old)
        Z = clusters([5], seed=3)[0]
        names = ["new", "new", "c0", "c1", "alone"]
        own = np.array([2, 2, 0, 1, 3])
        images, evidence = joint.images.add(Z, own, groups)
        nearest, near = near_old.add(Z, own, groups) if with_nearest else (None, np.zeros((5, 4)))
        more, kept, rows = joint.add(Z, names, seen, groups)
        assert more.names == ["c0", "c1", "new", "alone"]
        assert rows.tolist() == ([0, 1, 2, 3] if groups is None else [2, 3])
        np.testing.assert_array_equal(more.images.means, images.means)
        assert (more.nearest is None) != with_nearest
        assert more.weights is joint.weights
        np.testing.assert_array_equal(kept.embeddings, np.concatenate([seen.embeddings, Z[rows]]))
        of_old = nearest(seen.embeddings) if with_nearest else np.zeros((len(seen), 4))
        old = np.stack([images(seen.embeddings), of_old], axis=2)
        old[:, :2] = seen.evidence
        new = np.stack([evidence, near], axis=2)[rows]
        expected = np.concatenate([old, new]).astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(kept.evidence, expected)
        assert kept.evidence.dtype == np.float32

    def test_images_that_taught_nothing_get_evidence_of_all_classes(self):
        joint, *_ = fit(*clusters([5, 6]))
        Z, seen = clusters([2], seed=3)[0], clusters([3], seed=4)[0]
        more, kept, rows = joint.add(Z, ["c0", "new"], seen)
        assert rows.tolist() == [0]
        np.testing.assert_allclose(kept.evidence[:3], more.say(seen), atol=2e-2)


def test_false_rejections_are_about_the_promised_share():
    rejected = []
    for seed in range(40):
        X, y = clusters([10] * 6, d=24, seed=seed, spread=0.5)
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(X))
        train, new = order[::2], order[1::2]
        joint, *_, cross_fitted = JointScore.fit(
            X[train], y[train], list("abcdef"), np.random.RandomState(seed)
        )

        def score(evidence, joint=joint):
            zeros = np.zeros(evidence.shape[:2])
            return joint.score(joint.parts(zeros, zeros[:, 0], evidence))

        offset = np.sort(score(cross_fitted.evidence))[max(int(0.1 * (len(cross_fitted) + 1)) - 1, 0)]
        rejected.append((score(joint.say(X[new])) < offset).mean())
    assert 0.03 < np.mean(rejected) < 0.15


def test_one_image_a_class_warns_that_the_threshold_is_a_guess():
    X, y = clusters([1] * 25)
    with pytest.warns(CalibrationWarning, match="each class has one image"):
        JointScore.fit(X, y, [f"c{c}" for c in y], np.random.RandomState(0))


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_groups_that_leave_no_class_to_play_unknown():
    X, y = clusters([3, 3, 6])
    groups = np.array([0] * 6 + [1, 2, 3, 4, 5, 6])
    for seed in range(40):
        joint, *_ = JointScore.fit(X, y, ["a", "b", "c"], np.random.RandomState(seed), None, groups)
        assert np.isfinite(joint.weights).all()


def test_a_class_of_two_among_single_images_does_not_switch_text_off():
    joint, *_ = fit(*clusters([2, 1, 1, 1], spread=0.2))
    assert joint.weights[0] > 0.5


def test_evidence_that_is_missing_has_no_part_in_the_neutral_one():
    nothing = np.nan
    evidence = np.array([[1.0, nothing, 3.0], [nothing, 5.0, 2.0], [9.0, 1.0, nothing]])
    # Own: 1, 5, none. Best of the others: 3, 2, 9.
    assert module._neutral(evidence, np.array([0, 1, 2])) == np.mean([np.mean([1, 5]), np.mean([3, 2, 9])])
    assert module._neutral(np.full((2, 2), nothing), np.array([0, 1])) == 0


def test_embeddings_of_another_width_are_refused():
    joint, *_ = fit(*clusters([4, 4]))
    with pytest.raises(InputError, match="5 columns, those of fit had 16"):
        joint.evidence(np.ones((3, 5)), joint.names)


def test_one_class_left_keeps_its_clarity_out_of_the_score():
    joint, *_ = fit(*clusters([9, 9]))
    parts = joint.parts(np.zeros((4, 1)), np.zeros(4), np.zeros((4, 1, 2)))
    assert (joint.shares(parts)[:, 3] == 0).all()


ONE = NearestImages(np.ones((1, 16), np.float32), np.array([1]))
NARROW = NearestImages(np.ones((2, 5), np.float32), np.array([1, 1]))


@pytest.mark.parametrize(
    "spoil", [{"weights": np.ones(3)}, {"names": ["c0"]}, {"nearest": ONE}, {"nearest": NARROW}]
)
def test_parts_that_do_not_fit_together_are_refused(spoil):
    joint, *_, cross_fitted = fit(*clusters([4, 4]))
    with pytest.raises(InputError):
        replace(joint, **spoil)
    with pytest.raises(InputError, match="a row for each image"):
        replace(cross_fitted, evidence=np.zeros((3, 2)))


def test_every_name_that_is_promised_is_there():
    assert all(hasattr(evidence, name) for name in evidence.__all__)
