"""What a worker does with a block, without Ray."""

import numpy as np
import pyarrow as pa
import pytest

from skneg import MCMDetector
from skneg.distributed._worker import COLUMNS, Worker


@pytest.mark.parametrize("labels", ["names", "numbers"])
def test_files_have_the_same_types_whatever_is_broken(labels, embedded):
    Z, y = embedded
    names = np.unique(y).tolist()
    y = y if labels == "names" else np.searchsorted(names, y)
    detector = MCMDetector(model="skneg-tiny").fit(Z, y, class_names=names)
    worker = Worker(detector, "Z", "id", on_gpu=False)
    assert worker.detector.device == "cpu"
    good, bad = (list(worker(pa.table({"id": [5, 6], "Z": rows}))) for rows in (
        pa.array(Z[:2].tolist()), pa.array([[0.0] * Z.shape[1]] * 2),
    ))  # fmt: skip
    assert good[0].schema == bad[0].schema
    assert good[0].column_names == ["id", *COLUMNS]
    assert good[0]["label"].to_pylist() == detector.predict(Z[:2]).tolist()
    assert bad[0]["label"].to_pylist() == bad[0]["score"].to_pylist() == [None, None]
    assert bad[0]["error"].to_pylist() == ["the embedding is all zeros"] * 2


def test_a_block_comes_back_in_pieces_with_their_keys(embedded):
    Z, y = embedded
    detector = MCMDetector(model="skneg-tiny").fit(Z, y)
    block = pa.table({"id": np.arange(1200), "Z": pa.array(np.tile(Z, (10, 1)).tolist())})
    tables = list(Worker(detector, "Z", "id", on_gpu=True)(block))
    assert [len(table) for table in tables] == [1024, 176]
    assert pa.concat_tables(tables)["id"].to_pylist() == list(range(1200))
    assert detector.device == "auto"
