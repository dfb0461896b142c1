import numpy as np
import pytest

from skneg.inspection import _copies
from skneg.inspection._copies import nearest_others


def circle(*degrees):
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_the_nearest_of_the_same_class_and_of_others_by_hand():
    near = nearest_others(circle(0, 10, 40, 130), np.array([0, 1, 0, 1]))
    assert near.row.tolist() == [[2, 1], [3, 0], [0, 1], [1, 2]]
    np.testing.assert_allclose(
        near.cosine, np.cos(np.deg2rad([[40, 10], [120, 10], [40, 30], [120, 90]])), atol=1e-6
    )
    # Nearest others lie at 10, 10, 30 and 90 degrees.
    usual = np.median(1 - np.cos(np.deg2rad([10, 10, 30, 90])))
    assert near.level == pytest.approx(1 - usual / 8, abs=1e-6)
    assert not near.is_copy.any()


def test_a_copy_is_far_nearer_than_others_are():
    near = nearest_others(circle(0, 30, 60, 90, 120, 121), np.array([0, 0, 0, 0, 0, 1]))
    assert near.is_copy.tolist() == [[False, False]] * 4 + [[False, True]] * 2
    assert near.row[4, 1] == 5
    assert nearest_others(circle(0, 30), np.array([0, 0]), level=0.8).is_copy.tolist() == [[True, False]] * 2


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(50, 8)).astype(np.float32)
    Z /= np.linalg.norm(Z, axis=1, keepdims=True)
    y = rng.integers(0, 3, 50)
    whole = nearest_others(Z, y)
    monkeypatch.setattr(_copies, "_CELLS", 350)  # 7 rows at a time
    parts = nearest_others(Z, y)
    np.testing.assert_array_equal(parts.row, whole.row)
    np.testing.assert_allclose(parts.cosine, whole.cosine, atol=1e-6)


def test_alone_there_is_no_other():
    one = nearest_others(circle(0), np.array([0]))
    assert one.row.tolist() == [[-1, -1]]
    assert not one.is_copy.any()
    assert nearest_others(circle(0, 0, 0), np.array([0, 0, 0])).is_copy.tolist() == [[True, False]] * 3
