"""What choosing among words costs, and that blocks change none of it."""

import numpy as np
import pytest
from sklearn.utils.fixes import parse_version

from skneg import _mining
from skneg._mining import first_of_alike, row_quantile


def unit(X):
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("k", [1, 2, 3, 40])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_quantile_of_rows_is_numpys_to_the_bit(k, dtype, monkeypatch):
    values = np.random.default_rng(0).normal(size=(50, k)).astype(dtype)
    monkeypatch.setattr(_mining, "_CELLS", 7 * k)
    for q in (0.0, 0.05, 0.5, 0.6, 0.95, 1.0):
        found = row_quantile(values, q)
        rounding = 0 if parse_version(np.__version__) >= parse_version("2.1") else 1e-6
        np.testing.assert_allclose(found, np.quantile(values, q, axis=1), rtol=0, atol=rounding)
        assert found.dtype == dtype


@pytest.mark.parametrize("max_cosine", [-1.0, 0.3, 0.8, 0.95, 1.01])
@pytest.mark.parametrize("cells", [1, 20_000, 2**22])
def test_the_first_of_alike_rows_is_kept_whatever_the_blocks(max_cosine, cells, monkeypatch):
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(60, 16))
    rows = unit(centres[rng.integers(60, size=400)] + 0.3 * rng.normal(size=(400, 16)))
    monkeypatch.setattr(_mining, "_CELLS", cells)
    expected = np.zeros(len(rows), dtype=bool)
    for number, row in enumerate(rows):
        expected[number] = not (rows[:number][expected[:number]] @ row > max_cosine).any()
    np.testing.assert_array_equal(first_of_alike(rows, max_cosine), expected)
    assert expected.any()
    assert expected.all() == (max_cosine > 1)


def test_a_row_near_a_dropped_one_alone_is_kept():
    angles = np.deg2rad([0, 15, 30, 45])  # each within 18 degrees of its neighbours only
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert first_of_alike(rows, np.cos(np.deg2rad(18))).tolist() == [True, False, True, False]


def test_no_row_is_no_row():
    assert first_of_alike(np.empty((0, 4)), 0.9).shape == (0,)
