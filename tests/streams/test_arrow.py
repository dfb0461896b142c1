"""Columns of Arrow."""

import numpy as np
import pyarrow as pa
import pytest

from skneg.errors import InputError
from skneg.streams._arrow import from_arrow, is_arrow

ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32()), pa.large_list(pa.float64()), pa.list_(pa.float16(), 3)]
)
def test_lists_of_floats_are_embeddings(kind):
    column = pa.array(ROWS.astype(np.float16).tolist() if "half" in str(kind) else ROWS.tolist(), kind)
    for X in (column, column.slice(1, 2), pa.chunked_array([column, column]), pa.table({"Z": column})):
        values = from_arrow(X)
        expected = ROWS[1:3] if len(X) == 2 else np.tile(ROWS, (len(X) // 4, 1))
        np.testing.assert_array_equal(values, expected)
        assert values.dtype.kind == "f"


def test_a_tensor_column_is_embeddings():
    column = pa.FixedShapeTensorArray.from_numpy_ndarray(ROWS)
    np.testing.assert_array_equal(from_arrow(pa.chunked_array([column])), ROWS)


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float32(), 3)])
def test_missing_rows_are_nan_and_stay_in_their_place(kind):
    column = pa.array([None, [1.0, 2.0, 3.0], None, [4.0, 5.0, 6.0]], kind)
    values = from_arrow(column)
    assert np.isnan(values).all(axis=1).tolist() == [True, False, True, False]
    assert values[3].tolist() == [4, 5, 6]
    assert np.isnan(from_arrow(pa.array([None, None], kind))).all()


def test_rows_of_another_width_are_missing():
    values = from_arrow(pa.array([[1.0, 2.0], [3.0], [4.0, 5.0], []]))
    assert np.isnan(values[:, 0]).tolist() == [False, True, False, True]


def test_other_columns_are_lists():
    assert from_arrow(pa.array(["a.jpg", None])) == ["a.jpg", None]
    assert from_arrow(pa.array([b"x"])) == [b"x"]
    cell = {"bytes": b"x", "path": "a.jpg"}
    assert from_arrow(pa.array([cell])) == [cell]


def test_a_table_of_several_columns_is_refused():
    with pytest.raises(InputError, match=r"columns \['a', 'b'\]; pass the one"):
        from_arrow(pa.table({"a": [1], "b": [2]}))


def test_what_is_arrow():
    assert is_arrow(pa.array([1]))
    assert is_arrow(pa.record_batch({"a": [1]}))
    assert not is_arrow(ROWS)
    assert not is_arrow(pa.scalar(1))
