import io
import json
import os
from types import SimpleNamespace

import pytest

import skneg
from skneg._commands import _predict
from skneg.errors import ImageError


def asked(folder, images, **given):
    options = {"csv": None, "json": None, "model": None, "pretrained": None, "device": None, **given}
    return SimpleNamespace(
        file=folder / "a.skneg",
        images=list(images),
        batch_size=2,
        on_error="raise",
        only_unknown=False,
        **options,
    )


def test_rows_that_are_done_stay_when_one_stops_it(embedded, scenes, tmp_path):
    from PIL import Image

    skneg.MCMDetector(model="skneg-tiny").fit(*embedded).save(tmp_path / "a.skneg")
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for path, pixels in zip(paths, scenes[0], strict=False):
        Image.fromarray(pixels).save(path)
    paths[3].write_bytes(b"broken")
    options = asked(tmp_path, map(str, paths), csv=tmp_path / "out.csv")
    with pytest.raises(ImageError):
        _predict.predict(options)
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 1 + 2


def test_a_file_name_that_is_no_text_ends_nothing(embedded, scenes, tmp_path, monkeypatch):
    from PIL import Image

    name = os.fsencode(tmp_path) + b"/\xff\xfe.png"
    try:
        with open(name, "wb") as file:
            Image.fromarray(scenes[0][0]).save(file, "PNG")
    except OSError:
        pytest.skip("file names are texts here")
    skneg.MCMDetector(model="skneg-tiny").fit(*embedded).save(tmp_path / "a.skneg")
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr("sys.stdout", out)
    for kind in ("csv", "json", "none"):
        _predict.predict(asked(tmp_path, [os.fsdecode(name)], **{kind: tmp_path / kind}))
    (told,) = map(json.loads, (tmp_path / "json").read_text(encoding="utf-8").splitlines())
    assert os.fsencode(told["path"]) == name
    assert name in (tmp_path / "csv").read_bytes()
    assert name in out.buffer.getvalue()
