"""The examples of serving: they answer as the detector does, and refuse what they should."""

import importlib.util
import io
import runpy
import sys

import pytest
from PIL import Image

import skneg
from skneg.datasets import make_scenes

from .conftest import run_python
from .test_examples import FOLDER

SHAPES = ["star", "heart", "key", "anchor"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with what both examples serve, and some pictures, not all square."""
    place = tmp_path_factory.mktemp("serving")
    detector = skneg.NegPromptDetector(model="skneg-tiny", random_state=0)
    detector.fit(*make_scenes(120, shapes=SHAPES, random_state=0)).save(place / "shapes.skneg")
    skneg.export.onnx(detector, place / "shapes.onnx", images=True)
    pictures = [*make_scenes(8, shapes=SHAPES, random_state=7)[0], *make_scenes(8, random_state=8)[0]]
    for number, pixels in enumerate(pictures):
        image = Image.fromarray(pixels)
        image = image.resize([(90, 90), (200, 71), (64, 131)][number % 3])
        if number % 4 == 1:
            image.putalpha(Image.linear_gradient("L").resize(image.size))
        image.convert("P" if number % 4 == 2 else image.mode).save(place / f"{number:02}.png")
    return place


class TestOnnxRuntime:
    def test_answers_as_the_detector(self, place, monkeypatch, capsys):
        files = sorted(place.glob("*.png"))
        monkeypatch.setattr(sys, "argv", ["onnx_runtime.py", str(place / "shapes.onnx"), *map(str, files)])
        runpy.run_path(str(FOLDER / "onnx_runtime.py"), run_name="__main__")
        told = [line.split()[1] for line in capsys.readouterr().out.splitlines()]
        assert len(told) == 16
        assert told == skneg.load(place / "shapes.skneg").predict(files).tolist()

    def test_nothing_heavy_is_imported(self, place):
        code = (
            "import runpy, sys; sys.argv = ['onnx_runtime.py', 'shapes.onnx', '00.png']; "
            f"runpy.run_path({str(FOLDER / 'onnx_runtime.py')!r}, run_name='__main__'); "
            "print([name for name in ('skneg', 'sklearn', 'torch', 'scipy') if name in sys.modules])"
        )
        assert run_python(code, place).splitlines()[-1] == "[]"


@pytest.fixture(scope="module")
def module():
    spec = importlib.util.spec_from_file_location("serve", FOLDER / "serve.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def client(module, place, monkeypatch):
    from fastapi.testclient import TestClient

    monkeypatch.setenv("SKNEG_DETECTOR", str(place / "shapes.skneg"))
    with TestClient(module.app) as client:
        yield client


def upload(*files):
    return [("files", (name, content)) for name, content in files]


class TestServe:
    def test_answers_as_the_detector(self, client, place):
        files = sorted(place.glob("*.png"))
        response = client.post("/predict", files=upload(*((f.name, f.read_bytes()) for f in files)))
        assert response.status_code == 200
        told, detector = response.json(), skneg.load(place / "shapes.skneg")
        assert [row["file"] for row in told] == [file.name for file in files]
        assert [row["label"] for row in told] == detector.predict(files).tolist()
        assert [row["p_value"] for row in told] == pytest.approx(detector.p_values(files).tolist())
        assert {row["nearest_class"] for row in told} <= set(SHAPES)

    def test_metrics_count_what_was_answered(self, client, place):
        assert "skneg_images_total 0" in client.get("/metrics").text.splitlines()
        files = sorted(place.glob("*.png"))
        told = client.post("/predict", files=upload(*((f.name, f.read_bytes()) for f in files))).json()
        assert client.post("/predict", files=upload(("x.png", b"no image"))).status_code == 422
        response = client.get("/metrics")
        assert response.headers["content-type"].startswith("text/plain")
        lines = response.text.splitlines()
        assert "skneg_images_total 16" in lines
        assert f"skneg_rejected_total {[row['label'] for row in told].count('unknown')}" in lines
        assert any(line.startswith("skneg_drift_alarm ") for line in lines)

    def test_the_model_is_loaded_at_the_start(self, client, module):
        from skneg.backbone import _loading

        assert "skneg-tiny" in {name for name, *_ in _loading._loaded}
        assert module.app.state.detector.backbone_ == "skneg-tiny"

    @pytest.mark.parametrize("content", [b"", b"no image", b"/etc/passwd", b"\x89PNG\r\n\x1a\n cut"])
    def test_an_unreadable_image_is_named(self, client, place, content):
        files = upload(("good.png", (place / "00.png").read_bytes()), ("bad.png", content))
        response = client.post("/predict", files=files)
        assert response.status_code == 422
        assert response.json()["detail"] == "bad.png cannot be read as an image"

    def test_an_image_of_too_many_pixels_is_refused(self, client, monkeypatch):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
        file = io.BytesIO()
        Image.new("RGB", (64, 64), "red").save(file, "PNG")
        assert client.post("/predict", files=upload(("bomb.png", file.getvalue()))).status_code == 422

    def test_no_file_is_refused(self, client):
        assert client.post("/predict").status_code == 422

    def test_too_many_files_are_refused(self, client, module):
        files = upload(*[("a.png", b"x")] * (module.MAX_FILES + 1))
        assert client.post("/predict", files=files).status_code == 413

    def test_too_many_bytes_are_refused_before_they_are_read(self, client, module, monkeypatch):
        monkeypatch.setattr(module, "MAX_BYTES", 1000)
        response = client.post("/predict", files=upload(("a.png", bytes(1001))))
        assert response.status_code == 413
        assert "at most 1000 bytes" in response.json()["detail"]

    def test_a_body_of_unknown_length_is_refused(self, client):
        assert client.post("/predict", content=iter([b"a", b"b"])).status_code == 411
        both = {"Content-Length": "2", "Transfer-Encoding": "chunked"}
        assert client.post("/predict", content=b"ab", headers=both).status_code == 411
