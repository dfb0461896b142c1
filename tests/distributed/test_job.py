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

from skneg import CLIPImageEncoder, MCMDetector
from skneg.datasets import list_images, make_scenes
from skneg.distributed import _job, predict
from skneg.distributed._job import _check_cluster, _key
from skneg.distributed._worker import Worker
from skneg.errors import InputError
from skneg.streams import predict_stream

from ..conftest import KNOWN

pytestmark = [
    pytest.mark.enable_socket,
    pytest.mark.filterwarnings("ignore:The minimum number of concurrent actors:UserWarning:ray.*"),
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


def compared(rows, expected):
    """The rows of a job, in order, must be those of one process."""
    rows, expected = rows.reset_index(), expected.reset_index()
    np.testing.assert_allclose(rows["score"], expected["score"], atol=1e-5)
    np.testing.assert_allclose(rows["p_value"], expected["p_value"])
    for column in ("label", "nearest_class"):
        assert rows[column].fillna("").tolist() == expected[column].fillna("").tolist()
    assert rows["error"].notna().tolist() == expected["error"].notna().tolist()


def test_a_folder_with_a_broken_image(cluster, detector, tmp_path):
    folder = tmp_path / "images"
    for number, pixels in enumerate(make_scenes(24, shapes=KNOWN, random_state=5)[0]):
        (folder / str(number % 2)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / str(number % 2) / f"{number}.png")
    (folder / "0" / "broken.png").write_bytes(b"no image")
    predict(detector, folder, tmp_path / "out", rows_per_file=5)
    rows = pd.read_parquet(tmp_path / "out").set_index("path").sort_index()
    tables = predict_stream(detector, list_images(folder), on_error="skip")
    expected = pd.concat([table.to_frame() for table in tables]).set_index("path").sort_index()
    assert rows.index.tolist() == list(map(str, expected.index))
    compared(rows, expected)
    assert "broken.png') cannot be read" in rows["error"].dropna().item()


def test_embeddings_by_workers_of_which_one_is_killed_and_then_more_rows(
    cluster, detector, monkeypatch, tmp_path
):
    Z = CLIPImageEncoder(model="skneg-tiny").transform(make_scenes(80, shapes=KNOWN, random_state=6)[0])
    rows = [row.tolist() for row in Z]
    rows[3], rows[7], rows[50] = None, rows[7][:5], [float("nan")] * Z.shape[1]
    Z[[3, 7, 50]] = np.nan
    expected = next(predict_stream(detector, Z, on_error="skip")).to_frame()
    source, out, flag = tmp_path / "in", tmp_path / "out", tmp_path / "flag"
    flag.touch()
    source.mkdir()

    def write(start, stop):
        columns = {"number": range(start, stop), "Z": pa.array(rows[start:stop]), "more": range(start, stop)}
        pq.write_table(pa.table(columns), source / f"{start}.parquet")

    def job(detector):
        predict(detector, source, out, column="Z", key="number", rows_per_file=10)
        return pd.read_parquet(out).set_index("number").sort_index()

    write(0, 60)
    detector.save(tmp_path / "a.skneg")
    monkeypatch.setattr(_job, "Worker", dying(flag))
    compared(job(tmp_path / "a.skneg"), expected[:60])
    assert not flag.exists(), "no worker was killed"

    before = {file.name for file in (out / "rows").iterdir()}
    write(60, 80)
    compared(job(detector), expected)
    new = [file for file in (out / "rows").iterdir() if file.name not in before]
    assert sum(pq.read_metadata(file).num_rows for file in new) == 20

    with pytest.raises(InputError, match="another detector"):
        job(clone(detector).set_params(contamination=0.2).fit(Z[10:40], class_names=KNOWN))


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
