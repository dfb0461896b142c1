"""CIFAR's archives."""

import io
import pickle

import numpy as np
import pytest
from PIL import Image

from skneg.datasets._cifar import is_archive, load_archive
from skneg.errors import InputError


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)


def rows(pixels):
    return pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1)


def write_batch(file, pixels, protocol, labels="labels"):
    held = {"batch_label": "testing batch 1 of 1", labels: [3, 0, 255, 9][: len(pixels)]}
    if labels == "fine_labels":
        held["coarse_labels"] = [1] * len(pixels)
    held |= {"data": rows(pixels), "filenames": [f"a_{i}.png" for i in range(len(pixels))]}
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(pickle.dumps(held, protocol=protocol))


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(
    ("folder", "file", "labels"),
    [("cifar-10-batches-py", "test_batch", "labels"), ("cifar-100-python", "test", "fine_labels")],
)
def test_a_batch_is_read_without_being_unpickled(
    folder, file, labels, protocol, pixels, tmp_path, monkeypatch
):
    write_batch(tmp_path / folder / file, pixels, protocol, labels)
    monkeypatch.setattr(pickle, "loads", None)
    assert is_archive(tmp_path / folder)
    images, numbers = load_archive(tmp_path / folder, "test")
    assert (images == pixels).all()
    assert numbers.tolist() == ["3", "0", "255", "9"]


def test_a_batch_as_python_2_wrote_it_is_read(pixels, tmp_path):
    # Protocol 2, with text as SHORT_BINSTRING and pixels as BINSTRING, which Python 3 no longer writes.
    def text(value):
        return b"U" + bytes([len(value)]) + value

    data = rows(pixels).tobytes()
    numbers = b"".join(b"K" + bytes([n]) for n in (3, 0, 255, 9))
    batch = b"\x80\x02}q\x01(" + text(b"labels") + b"]q\x02(" + numbers + b"e" + text(b"data")
    batch += b"T" + len(data).to_bytes(4, "little") + data + b"u."
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "test_batch").write_bytes(batch)
    images, labels = load_archive(folder, "test")
    assert (images == pixels).all()
    assert labels.tolist() == ["3", "0", "255", "9"]


def test_all_training_batches_are_read_in_their_order(pixels, tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    for i in range(1, 6):
        write_batch(folder / f"data_batch_{i}", pixels[[i % 4]], 2)
    images, labels = load_archive(folder, "train")
    assert (images == pixels[[1, 2, 3, 0, 1]]).all()
    assert len(labels) == 5
    (folder / "data_batch_4").unlink()
    with pytest.raises(InputError, match="data_batch_4"):
        load_archive(folder, "train")


def test_a_batch_without_an_end_is_given_up(pixels, tmp_path, monkeypatch):
    write_batch(tmp_path / "cifar-10-batches-py" / "test_batch", pixels, 2)
    monkeypatch.setattr("skneg.datasets._cifar._MOST_CODES", 10)
    with pytest.raises(InputError, match="more than 10 instructions"):
        load_archive(tmp_path / "cifar-10-batches-py", "test")


class Evil:
    def __reduce__(self):
        return print, ("EVIL",)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-300], lambda b: b"no pickle", lambda b: pickle.dumps(Evil())]
)
def test_a_file_that_is_no_batch_is_refused_and_not_run(damage, pixels, tmp_path, capsys):
    file = tmp_path / "cifar-10-batches-py" / "test_batch"
    write_batch(file, pixels, 2)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(InputError, match="test_batch"):
        load_archive(file.parent, "test")
    assert "EVIL" not in capsys.readouterr().out


def test_parquet_files_of_the_hub(pixels, tmp_path):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    encoded = []
    for image in pixels:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        encoded.append({"bytes": buffer.getvalue(), "path": None})
    folder = tmp_path / "cifar100" / "cifar100"
    folder.mkdir(parents=True)
    assert not is_archive(folder.parent)
    table = pa.table({"img": encoded, "fine_label": [3, 0, 7, 9], "coarse_label": [1, 1, 1, 1]})
    parquet.write_table(table, folder / "test-00000-of-00001.parquet")
    assert is_archive(folder.parent)
    images, labels = load_archive(folder.parent, "test")
    assert (np.asarray(Image.open(io.BytesIO(images[2]))) == pixels[2]).all()
    assert labels.tolist() == ["3", "0", "7", "9"]
    with pytest.raises(InputError, match=r"no file train-\*"):
        load_archive(folder.parent, "train")
    parquet.write_table(pa.table({"x": [1]}), folder / "train-00000-of-00001.parquet")
    with pytest.raises(InputError, match=r"columns \['x'\]"):
        load_archive(folder.parent, "train")
    (folder / "train-00000-of-00001.parquet").write_bytes(b"no table")
    with pytest.raises(InputError, match="as Parquet"):
        load_archive(folder.parent, "train")
