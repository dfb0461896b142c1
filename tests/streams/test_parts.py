"""Sources of all kinds, in parts."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skneg.errors import InputError, InputTypeError
from skneg.images import ImageSequence, as_image_sequence
from skneg.streams._parts import parts

Z = np.arange(14, dtype=np.float32).reshape(7, 2)
NAMES = [f"{i}.png" for i in range(7)]


class Data:
    """A data set, as torch has them: no end is known by asking."""

    def __len__(self):
        return 7

    def __getitem__(self, index):
        return np.full((8, 8, 3), 10 * index, np.uint8), "label"


def sizes(source, size=3):
    return [len(part) for part in parts(source, size)]


@pytest.mark.parametrize(
    "source",
    [Z, Z.tolist(), pd.DataFrame(Z), pa.array(Z.tolist()), pa.table({"Z": Z.tolist()}), [Z], iter([Z])],
    ids=["array", "nested list", "DataFrame", "column", "table", "list of a block", "generator of a block"],
)
def test_matrices(source):
    found = list(parts(source, 3))
    assert [len(part) for part in found] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate(found), Z)


def test_blocks_keep_their_bounds():
    assert sizes([Z[:2], Z[2:], Z[:0]]) == [2, 3, 2]


def test_single_embeddings_become_matrices():
    found = list(parts((row for row in Z), 3))
    np.testing.assert_array_equal(np.concatenate(found), Z)


def test_parquet_files(tmp_path):
    pq.write_table(pa.table({"path": NAMES, "Z": Z.tolist()}), tmp_path / "a.parquet")
    with pq.ParquetFile(tmp_path / "a.parquet") as file:
        found = list(parts(file.iter_batches(4, columns=["Z"]), 3))
        assert [part.shape for part in found] == [(3, 2), (1, 2), (3, 2)]
        assert list(parts(file.iter_batches(9, columns=["path"]), 9)) == [NAMES]
        with pytest.raises(InputError, match="columns"):
            list(parts(file.iter_batches(4), 3))


@pytest.mark.parametrize("source", [NAMES, np.array(NAMES), pd.Series(NAMES), tuple(NAMES)])
def test_paths_that_are_at_hand(source):
    found = list(parts(source, 3))
    assert [part.paths for part in found] == [NAMES[:3], NAMES[3:6], NAMES[6:]]


def test_items_that_come_one_by_one_are_not_asked_for_early():
    asked = []

    def generate():
        for name in NAMES:
            asked.append(name)
            yield name

    stream = parts(generate(), 3)
    assert next(stream) == NAMES[:3]
    assert asked == NAMES[:3]
    assert [*stream] == [NAMES[3:6], NAMES[6:]]


def test_data_sets_and_sequences_are_decoded_when_asked():
    for source in (Data(), as_image_sequence(Data()), np.stack([Data()[i][0] for i in range(7)])):
        found = list(parts(source, 3))
        assert [len(part) for part in found] == [3, 3, 1]
        assert all(isinstance(part, ImageSequence) for part in found)
        assert found[1][2].getpixel((0, 0)) == (50, 50, 50)


def test_nothing_comes_of_nothing():
    assert sizes(iter([])) == sizes(Z[:0]) == []


@pytest.mark.parametrize("source", ["a.png", {"a": 1}, 3, None, b"x"])
def test_what_is_no_source_is_refused(source):
    with pytest.raises((InputError, InputTypeError)):
        sizes(source)
