"""Streams of answers: as `predict`, in constant memory."""

import numpy as np
import pytest

from skneg import CLIPImageEncoder, KNNDetector, MCMDetector, NegPromptDetector, WordsDetector
from skneg.datasets import make_scenes
from skneg.errors import ImageError
from skneg.streams import predict_stream

from ..conftest import run_python


def joined(tables, name):
    return np.concatenate([getattr(table, name) for table in tables])


@pytest.mark.parametrize("cls", [MCMDetector, KNNDetector, WordsDetector])
@pytest.mark.parametrize("numbers", [False, True])
def test_answers_are_those_of_the_detector(cls, numbers, embedded):
    Z, y = embedded
    names = np.unique(y).tolist()
    detector = cls(model="skneg-tiny").fit(Z, np.searchsorted(names, y) if numbers else y, class_names=names)
    # Not the images of `fit`: at their own scores p-values jump, and blocks differ in the last bit.
    X = CLIPImageEncoder(model="skneg-tiny").transform(make_scenes(80, random_state=5)[0])
    tables = list(detector.predict_stream(X, chunk=7))
    assert [len(table) for table in tables] == [7] * 11 + [3]
    assert joined(tables, "index").tolist() == list(range(80))
    for name, expected in (
        ("label", detector.predict(X)),
        ("score", detector.score_samples(X)),
        ("decision", detector.decision_function(X)),
        ("p_value", detector.p_values(X)),
        ("posterior", detector.predict_proba(X).max(axis=1)),
        ("nearest_class", detector.classes_[detector.predict_proba(X).argmax(axis=1)]),
    ):
        found = joined(tables, name)
        assert found.dtype == expected.dtype or name == "label"
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(found, expected, atol=1e-6)
        else:
            assert found.tolist() == expected.tolist()
    assert not any(joined(tables, "error"))
    assert tables[0].path is None


def test_images_are_encoded_once(scenes, monkeypatch):
    X, y = scenes
    detector = NegPromptDetector(model="skneg-tiny", evidence="images").fit(X, y)
    from skneg.backbone import ImageTower

    encoded, encode = [], ImageTower.encode

    def counting(tower, images, *arguments, **options):
        encoded.append(len(images))
        return encode(tower, images, *arguments, **options)

    monkeypatch.setattr(ImageTower, "encode", counting)
    tables = list(detector.predict_stream(list(X[:10]), chunk=4))
    assert encoded == [4, 4, 2]
    assert joined(tables, "label").tolist() == detector.predict(X[:10]).tolist()


@pytest.mark.parametrize("numbers", [False, True])
def test_a_row_that_cannot_be_read_says_why_and_has_no_label(numbers, embedded, scenes):
    Z, y = embedded
    names = np.unique(y).tolist()
    detector = MCMDetector(model="skneg-tiny", unknown_label=None)
    detector.fit(Z, np.searchsorted(names, y) if numbers else y, class_names=names)
    images = [*scenes[0][:2], b"broken"]
    (table,) = detector.predict_stream(images, on_error="skip")
    assert table.label.tolist() == [*detector.predict(images[:2]).tolist(), None]
    assert np.isnan(table.score).tolist() == [False, False, True]
    assert table.error[:2].tolist() == [None, None]
    assert "cannot be read" in table.error[2]
    with pytest.raises(ImageError, match="image 2"):
        list(detector.predict_stream(images))


def test_files_have_their_paths(embedded, scenes, tmp_path):
    from PIL import Image

    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, pixels in zip(paths, scenes[0], strict=False):
        Image.fromarray(pixels).save(path)
    detector = MCMDetector(model="skneg-tiny").fit(*embedded)
    tables = list(predict_stream(detector, (path for path in paths), chunk=2))
    assert joined(tables, "path").tolist() == list(map(str, paths))


# A file of zeros needs no room on the disk; small random rows are written over some of it.
MANY = """
import numpy as np
from skneg import MCMDetector

def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) / 1024

rng, n, d = np.random.default_rng(0), 400_000, 128
detector = MCMDetector(text_bank=rng.normal(size=(50, d)), class_names=list(map(str, range(50))))
detector.fit(rng.normal(size=(200, d)))
X = np.memmap("rows", np.float32, "w+", shape=(n, d))
X[:] = 1
X.flush()
X = np.memmap("rows", np.float32, "r", shape=(n, d))
start, most, rows = anonymous(), 0, 0
for table in detector.predict_stream(X):
    most, rows = max(most, anonymous()), rows + len(table)
assert rows == n, rows
print(most - start)
"""


def test_memory_does_not_grow_with_the_rows(tmp_path):
    pytest.importorskip("resource")
    import sys

    if sys.platform != "linux":
        pytest.skip("reads /proc")
    assert float(run_python(MANY, tmp_path)) < 64  # MiB; the rows alone are 195, their scores 3
