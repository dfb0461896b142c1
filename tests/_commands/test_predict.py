from types import SimpleNamespace

import pytest

import skneg
from skneg._commands import _predict
from skneg.errors import ImageError


def test_rows_that_are_done_stay_when_one_stops_it(embedded, scenes, tmp_path):
    from PIL import Image

    skneg.MCMDetector(model="skneg-tiny").fit(*embedded).save(tmp_path / "a.skneg")
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for path, pixels in zip(paths, scenes[0], strict=False):
        Image.fromarray(pixels).save(path)
    paths[3].write_bytes(b"broken")
    options = SimpleNamespace(
        file=tmp_path / "a.skneg", images=list(map(str, paths)), csv=tmp_path / "out.csv", json=None,
        batch_size=2, on_error="raise", only_unknown=False, model=None, pretrained=None, device=None,
    )  # fmt: skip
    with pytest.raises(ImageError):
        _predict.predict(options)
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 1 + 2
