"""Two models: each has its own evidence, and labels say what it counts for."""

from dataclasses import replace

import numpy as np
import pytest

from skneg.errors import InputError
from skneg.evidence import (
    ImageEvidence,
    JointScore,
    PairedEvidence,
    cross_fit_apart,
    folds_of_classes,
    information,
)
from skneg.evidence._pair import apart, fit_evidence

from .data import clusters, cross_fit

COUNTS = [12, 9, 10, 8]


def pair(spread_1=0.3, spread_2=0.3, counts=COUNTS):
    """Images seen by two models of 16 and 24 columns, side by side, and their classes."""
    one, y = clusters(counts, 16, seed=0, spread=spread_1)
    two, _ = clusters(counts, 24, seed=1, spread=spread_2)
    return np.concatenate([one, two], axis=1) / np.sqrt(np.float32(2)), y


def fit(X, y, columns=(16, 24)):
    fold = folds_of_classes(y, np.random.RandomState(0), None)
    return fit_evidence(X, y, np.arange(len(y)), fold, columns)


def test_both_are_joined_while_classes_play_unknown():
    X, y = pair()
    rows, group = np.arange(len(y)), np.array([0, 1, 1, 0])
    fold = folds_of_classes(y, np.random.RandomState(0), None)
    paired, alone = fit(X, y)[0], fit(X[:, :16], y, None)[0]
    one, two = (
        cross_fit_apart(ImageEvidence.of, half, y, rows, fold, group) for half in (X[:, :16], X[:, 16:])
    )
    np.testing.assert_array_equal(apart(alone, X[:, :16], y, rows, fold, group), one)
    joined = paired.weights[0] * one + paired.weights[1] * two
    np.testing.assert_allclose(apart(paired, X, y, rows, fold, group), joined)


def test_it_is_the_weighted_sum_of_both():
    X, y = pair()
    paired, crossed = fit(X, y)
    one, two = ImageEvidence.of(X[:, :16], y), ImageEvidence.of(X[:, 16:], y)
    np.testing.assert_allclose(
        paired(X), paired.weights[0] * one(X[:, :16]) + paired.weights[1] * two(X[:, 16:])
    )
    rows, folds = np.arange(len(y)), [np.random.RandomState(0) for _ in range(2)]
    parts = [cross_fit(half, y, rows, rng) for half, rng in zip((X[:, :16], X[:, 16:]), folds, strict=True)]
    np.testing.assert_allclose(crossed, paired.weights @ np.stack(parts).swapaxes(0, 1))
    assert paired.weights.sum() == pytest.approx(1)
    assert paired.means.shape == (4, 40)
    assert paired.centre.shape == (40,)


def test_weights_are_by_knowledge_and_spread_as_in_the_joint_score():
    X, y = pair(0.8, 2.0, [10] * 4)
    paired, _ = fit(X, y)
    rows, weights = np.arange(40), []
    for half in (X[:, :16], X[:, 16:]):
        part = cross_fit(half, y, rows, np.random.RandomState(0))
        share = 40 / 45 * information(part, y) + 5 / 45 * 0.5
        weights.append(np.sqrt(share / (1 - share)) / part[rows, y].std() ** (40 / 45))
    np.testing.assert_allclose(paired.weights, np.array(weights) / sum(weights))


def test_one_model_is_what_it_was():
    X, y = pair()
    alone, crossed = fit(X, y, None)
    assert isinstance(alone, ImageEvidence)
    np.testing.assert_array_equal(crossed, cross_fit(X, y, np.arange(len(y)), np.random.RandomState(0)))
    np.testing.assert_array_equal(alone.means, ImageEvidence.of(X, y).means)


@pytest.mark.parametrize(("spread_1", "spread_2"), [(0.4, 6.0), (6.0, 0.4)])
def test_who_sees_no_classes_counts_for_little(spread_1, spread_2):
    X, y = pair(spread_1, spread_2, [40] * 4)
    paired, crossed = fit(X, y)
    sees, blind = (paired.weights if spread_1 < spread_2 else paired.weights[::-1]).tolist()
    assert sees > 0.8
    assert blind == pytest.approx(1 - sees)
    better = X[:, :16] if spread_1 < spread_2 else X[:, 16:]
    alone = information(cross_fit(better, y, np.arange(len(y)), np.random.RandomState(0)), y)
    assert information(crossed, y) > alone - 0.05


def test_two_equal_models_count_the_same_and_two_good_ones_know_more_than_one():
    X, y = pair(1.0, 1.0, [40] * 4)
    both, crossed = fit(np.concatenate([X[:, :16]] * 2, axis=1), y, (16, 16))
    np.testing.assert_allclose(both.weights, 0.5, atol=1e-6)
    _, of_two = fit(X, y)
    assert information(of_two, y) > information(crossed, y) + 0.02


def test_neither_scale_of_the_halves_matters():
    X, y = pair()
    scaled = X * np.where(np.arange(40) < 16, 5, 0.25).astype(np.float32)
    np.testing.assert_allclose(fit(scaled, y)[0](scaled), fit(X, y)[0](X), atol=1e-3)


@pytest.mark.parametrize("counts", [[1, 1, 1], [5], [1, 6, 6]])
def test_where_labels_say_nothing_both_count_about_the_same(counts):
    X, y = pair(counts=counts)
    paired, crossed = fit(X, y)
    assert crossed.shape == (len(y), len(counts))
    assert 0.2 < paired.weights[0] < 0.8
    if max(counts) == 1:
        np.testing.assert_allclose(paired.weights, 0.5, atol=1e-6)


def test_more_images_go_into_both():
    X, y = pair()
    paired, _ = fit(X, y)
    Z, new = X[:6] * np.float32(0.5) + X[20:26] * np.float32(0.5), np.array([0, 0, 4, 4, 1, 4])
    more, evidence = paired.add(Z, new)
    one, of_one = paired.first.add(Z[:, :16], new)
    two, of_two = paired.second.add(Z[:, 16:], new)
    np.testing.assert_array_equal(more.means, np.concatenate([one.means, two.means], axis=1))
    np.testing.assert_allclose(evidence, paired.weights[0] * of_one + paired.weights[1] * of_two)
    assert more.weights is paired.weights


def test_the_joint_score_takes_it_and_sees_the_width():
    X, y = pair()
    joint, rows, honest, kept = JointScore.fit(X, y, list("abcd"), np.random.RandomState(0), columns=(16, 24))
    assert isinstance(joint.images, PairedEvidence)
    assert honest.shape == (len(rows), 2)
    assert joint.evidence(X, list("abcd")).shape == (len(y), 4, 2)
    assert joint.evidence(kept, list("ba")).shape == (len(rows), 2, 2)
    with pytest.raises(InputError, match="those of fit had 40"):
        joint.evidence(X[:, :16], list("abcd"))


def test_columns_and_parts_that_do_not_fit_are_refused():
    X, y = pair()
    with pytest.raises(InputError, match="16 and 16 columns, X has 40"):
        fit(X, y, (16, 16))
    paired, _ = fit(X, y)
    with pytest.raises(InputError, match="two weights"):
        replace(paired, weights=np.ones(3))
    other = ImageEvidence.of(*clusters([3, 3]))
    with pytest.raises(InputError, match="the same images"):
        replace(paired, second=other)
