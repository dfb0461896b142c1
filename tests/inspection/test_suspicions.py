import pickle

import numpy as np
import pytest
from PIL import Image

from skneg.inspection import Suspicions


@pytest.fixture
def table():
    images = [Image.new("RGB", (8, 8), color) for color in ("red", "green", "blue")]
    return Suspicions(
        row=np.array([2, 0]),
        label=np.array(["<cat>", "dog"]),
        likely_label=np.array(["dog", "<cat>"]),
        chance=np.array([0.01, 0.4]),
        kind=np.array(["label", "copy"]),
        other=np.array([-1, 1]),
        cosine=np.array([np.nan, 0.998]),
        right=np.array([0.4, np.nan, 0.01]),
        p_value=np.array([0.5, 0.25, 0.75]),
        min_cosine=0.99,
        images=images,
    )


def test_it_prints_as_a_table(table):
    assert str(table).splitlines() == [
        "row | label | likely label | kind  | chance | other image",
        "2   | <cat> | dog          | label | 0.010  |",
        "0   | dog   | <cat>        | copy  | 0.400  | 1 (cos 0.998)",
        "3 images: 1 label, 0 outlier, 1 copy; the labels of 1 cannot be judged",
    ]


def test_columns_are_those_of_the_list(table):
    columns = ["row", "label", "likely_label", "kind", "chance", "other", "cosine"]
    assert list(table.to_dict()) == columns
    frame = table.to_frame()
    assert list(frame.columns) == columns
    assert frame["row"].tolist() == [2, 0]
    assert len(table) == 2


def test_a_notebook_shows_pictures_and_escaped_labels(table):
    page = table._repr_html_()
    assert page.count("<img src=") == 2
    assert "&lt;cat&gt;" in page
    assert "<cat>" not in page
    assert table.pictures(4)[0] != table.pictures(4)[1]
    copied = pickle.loads(pickle.dumps(table))
    assert copied.pictures() == ["", ""]
    np.testing.assert_array_equal(copied.right, table.right)


def test_a_list_of_nothing_says_so():
    none = np.array([], dtype=int)
    empty = Suspicions(none, none, none, none.astype(str), none, none, none, np.ones(4), np.ones(4), 0.9)
    assert str(empty) == "4 images: 0 label, 0 outlier, 0 copy"
    assert "<table" not in empty._repr_html_()
    assert len(empty.to_frame()) == 0
