"""A job on a real Ray with two workers."""

import os
import signal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.base import clone

from skneg import MCMDetector
from skneg.datasets import list_images
from skneg.distributed import _job, predict
from skneg.distributed._job import _check_cluster, _key
from skneg.distributed._worker import Worker
from skneg.errors import InputError
from skneg.streams import predict_stream

pytestmark = [
    pytest.mark.enable_socket,
    pytest.mark.filterwarnings("ignore:The minimum number of concurrent actors:UserWarning:ray.*"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of Ray's own start and end
]


def dying(flag):
    """A worker that is killed once, in the midst of its second block."""

    class Dying(Worker):  # local, so that Ray sends it with the path of the flag
        def __call__(self, block):
            self.calls = getattr(self, "calls", 0) + 1
            if self.calls == 2 and flag.exists():
                flag.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            yield from super().__call__(block)

    return Dying


@pytest.fixture(scope="module")
def detector(scenes):
    return MCMDetector(model="skneg-tiny").fit(*scenes)


@pytest.fixture
def folder(scenes, tmp_path):
    """40 images in two folders, and a broken one among them."""
    for number, pixels in enumerate(scenes[0][:40]):
        file = tmp_path / "images" / str(number % 2) / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    (tmp_path / "images" / "0" / "broken.png").write_bytes(b"no image")
    return tmp_path / "images"


def in_one_process(detector, paths):
    tables = predict_stream(detector, paths, on_error="skip")
    return pd.concat([table.to_frame() for table in tables]).set_index("path").sort_index()


def compared(out, expected):
    """The rows of a job, which must be those of one process."""
    rows = pd.read_parquet(out).set_index("path").sort_index()
    assert rows.index.tolist() == list(map(str, expected.index))
    np.testing.assert_allclose(rows["score"], expected["score"], atol=1e-5, equal_nan=True)
    np.testing.assert_allclose(rows["p_value"], expected["p_value"], atol=1e-9, equal_nan=True)
    for column in ("label", "nearest_class", "error"):
        assert rows[column].where(rows[column].notna(), None).tolist() == expected[column].tolist()
    return rows


def test_a_folder_with_a_broken_image_by_workers_of_which_one_is_killed_and_then_more_images(
    cluster, detector, embedded, folder, tmp_path, monkeypatch
):
    flag, out = tmp_path / "flag", tmp_path / "out"
    flag.touch()
    monkeypatch.setattr(_job, "Worker", dying(flag))
    predict(detector, folder, out, rows_per_file=5)
    assert not flag.exists(), "no worker was killed"
    rows = compared(out, in_one_process(detector, list_images(folder)))
    assert len(rows) == 41
    assert "cannot be read" in rows["error"].dropna().item()

    written = {file.name for file in (out / "rows").iterdir()}
    for name in ("new.png", "newer.png"):
        (folder / name).write_bytes((folder / "0" / "0.png").read_bytes())
    predict(detector, folder, out, rows_per_file=5)
    compared(out, in_one_process(detector, list_images(folder)))
    files = {file.name: file for file in (out / "rows").iterdir()}
    assert written < set(files)
    assert sum(pq.read_metadata(files[name]).num_rows for name in set(files) - written) == 2

    with pytest.raises(InputError, match="another detector"):
        predict(clone(detector).set_params(contamination=0.2).fit(*embedded), folder, out)
    assert len(pd.read_parquet(out)) == 43


def test_parquet_with_embeddings_of_which_some_are_none(cluster, detector, embedded, tmp_path):
    detector.save(tmp_path / "a.skneg")
    Z = [row.tolist() for row in embedded[0][:60]]
    Z[3], Z[7], Z[50] = None, Z[7][:5], [float("nan")] * len(Z[7])
    (tmp_path / "in").mkdir()
    for part in range(3):
        rows = range(20 * part, 20 * part + 20)
        columns = {"number": list(rows), "embedding": pa.array([Z[i] for i in rows]), "more": ["x"] * 20}
        pq.write_table(pa.table(columns), tmp_path / "in" / f"{part}.parquet")
    with pytest.raises(InputError, match="cannot name a row: give key="):
        predict(detector, tmp_path / "in", tmp_path / "out", column="embedding")
    predict(tmp_path / "a.skneg", tmp_path / "in", tmp_path / "out", column="embedding", key="number")
    rows = pd.read_parquet(tmp_path / "out").set_index("number").sort_index()
    assert np.flatnonzero(rows["error"].notna()).tolist() == [3, 7, 50]
    good = rows["error"].isna().to_numpy()
    np.testing.assert_allclose(rows["score"][good], detector.score_samples(embedded[0][:60][good]), atol=1e-5)
    assert rows["label"][good].tolist() == detector.predict(embedded[0][:60][good]).tolist()


SCHEMA = pa.schema(
    [("path", pa.string()), ("id", pa.int64()), ("image", pa.binary()), ("label", pa.string())]
)


def test_a_row_is_named_by_its_path_or_by_a_key():
    assert _key(SCHEMA, "path", None) == "path"
    assert _key(SCHEMA, "image", "id") == "id"
    for arguments, message in [
        (("image", None), "holds binary, which cannot name a row"),
        (("pixels", None), "column='pixels' is no column"),
        (("image", "name"), "key='name' is no column"),
        (("image", "label"), "also a column of the answers"),
    ]:
        with pytest.raises(InputError, match=message):
            _key(SCHEMA, *arguments)


def test_workers_that_would_wait_for_ever_are_refused():
    _check_cluster({"CPU": 4}, 2, 0)
    with pytest.raises(InputError, match=r"ray.init\(num_cpus=4\)"):
        _check_cluster({"CPU": 2}, 2, 0)
    with pytest.raises(InputError, match="fewer workers"):
        _check_cluster({"CPU": 8, "GPU": 1}, 2, 2)
