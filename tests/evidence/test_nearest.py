"""The nearest images of each class: by hand, room, more images."""

import numpy as np
import pytest

from skneg.errors import InputError
from skneg.evidence import NearestImages
from skneg.evidence import _nearest as module

from .data import clusters


def by_hand(Z, X, y):
    """The mean of the three largest cosines to each class, or of all."""
    return np.array([[np.sort(X[y == c] @ z)[::-1][:3].mean() for c in np.unique(y)] for z in Z])


@pytest.mark.parametrize("counts", [[4, 4, 4], [5, 1, 2, 9, 40, 3, 17, 2], [1, 1], [2], [3, 3]])
def test_the_mean_of_the_three_largest_cosines_of_each_class(counts):
    X, y = clusters(counts)
    order = np.random.default_rng(0).permutation(len(y))
    nearest = NearestImages.of(X[order], y[order], np.random.RandomState(0))
    Z = clusters([3, 3], seed=1)[0]
    np.testing.assert_allclose(nearest(Z), by_hand(Z, X, y), atol=1e-3)
    assert nearest.counts.tolist() == counts
    assert nearest.embeddings.dtype == np.float32


def test_where_there_is_no_room_images_are_drawn_evenly(monkeypatch):
    monkeypatch.setattr(module, "_MOST", 13)
    X, y = clusters([2, 30, 30])
    drawn = [NearestImages.of(X, y, np.random.RandomState(seed)) for seed in (0, 0, 1)]
    for nearest in drawn:
        assert nearest.counts.tolist() == [2, 4, 4]
        places = (nearest.embeddings @ X.T).argmax(axis=1)
        assert y[places].tolist() == np.repeat([0, 1, 2], [2, 4, 4]).tolist()
    np.testing.assert_array_equal(drawn[0].embeddings, drawn[1].embeddings)
    assert not np.array_equal(drawn[0].embeddings, drawn[2].embeddings)
    many = NearestImages.of(X[:20], np.arange(20), np.random.RandomState(0))
    assert many.counts.tolist() == [1] * 20  # each class keeps one, however many there are


@pytest.mark.parametrize("groups", [None, np.array([4, 4, 1, 1, 7, 9])])
def test_more_images_are_measured_without_themselves(groups):
    X, y = clusters([3, 5])
    old = NearestImages.of(X, y, np.random.RandomState(0))
    Z, new = clusters([6], seed=2)[0], np.array([0, 0, 2, 2, 1, 3])
    more, means = old.add(Z, new, groups)
    every, classes = np.concatenate([X, Z]), np.concatenate([y, new])
    np.testing.assert_allclose(more(X), by_hand(X, every, classes), atol=1e-3)
    assert more.counts.tolist() == [5, 6, 2, 1]
    numbers = np.arange(6) if groups is None else groups
    for i, z in enumerate(Z):
        own = (new == new[i]) & (numbers == numbers[i])
        for c in range(4):
            left = (classes == c) & ~np.concatenate([np.zeros(len(y), bool), own & (c == new[i])])
            expected = np.sort(every[left] @ z)[::-1][:3].mean() if left.any() else np.nan
            np.testing.assert_allclose(means[i, c], expected, atol=1e-3)
    assert np.isnan(means[5, 3])
    assert old.counts.tolist() == [3, 5]


def test_more_images_than_room_leave_the_old_ones(monkeypatch):
    monkeypatch.setattr(module, "_MOST", 8)
    X, y = clusters([4, 4])
    old = NearestImages.of(X, y, np.random.RandomState(0))
    more, means = old.add(clusters([3], seed=3)[0], np.array([0, 1, 1]))
    np.testing.assert_array_equal(more.embeddings, old.embeddings)
    assert np.isfinite(means).all()
    # More classes leave less room for each. What set the threshold was compared with the old ones: they stay.
    many, _ = old.add(clusters([2] * 6, seed=3)[0], np.repeat(np.arange(2, 8), 2))
    np.testing.assert_array_equal(many.embeddings[:8], old.embeddings)
    assert many.counts.tolist() == [4, 4, 2, 2, 2, 2, 2, 2]


def test_parts_that_do_not_fit_are_refused():
    X = clusters([3])[0]
    with pytest.raises(InputError, match="do not fit"):
        NearestImages(X, np.array([2]))
    with pytest.raises(InputError, match="1 or more"):
        NearestImages(X, np.array([3, 0]))
    with pytest.raises(InputError, match="1 or more"):
        NearestImages(X, np.array([3.0]))
