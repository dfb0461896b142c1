"""Tables of answers."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from skneg.streams import Predictions


@pytest.fixture
def table():
    return Predictions(
        index=np.array([4, 5]),
        label=np.array(["unknown", None], dtype=object),
        score=np.array([-0.5, np.nan]),
        decision=np.array([-0.1, np.nan]),
        p_value=np.array([0.02, np.nan]),
        nearest_class=np.array(["hen", None], dtype=object),
        posterior=np.array([0.7, np.nan]),
        error=np.array([None, "image cannot be read"], dtype=object),
    )


def test_rejected_rows_are_those_of_the_unknown_label(table):
    assert table.rejected.tolist() == [True, False]


def test_columns_go_to_pandas_and_arrow(table):
    names = ["index", "label", "score", "decision", "p_value", "nearest_class", "posterior", "error"]
    assert list(table.to_dict()) == names
    frame = table.to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert frame["score"].isna().tolist() == [False, True]
    assert pa.table(table.to_dict())["label"].to_pylist() == ["unknown", None]
    assert len(table) == 2


def test_it_prints_as_a_table(table):
    first, second, third = str(table).splitlines()
    assert first.startswith("index | label   | score")
    assert "-0.5" in second
    assert third.endswith("image cannot be read")
