from types import SimpleNamespace

import pytest
from PIL import Image

import skneg
from skneg._commands._report import report
from skneg.errors import ImageError, InputError


@pytest.fixture
def options(scenes, strange_scenes, tmp_path):
    X, y = scenes
    skneg.MCMDetector(model="skneg-tiny").fit(X, y).save(tmp_path / "a.skneg")
    for number in range(20):
        for folder, pixels in ((f"test/{y[number]}", X[number]), ("other", strange_scenes[number])):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / folder / f"{number}.png")
    return SimpleNamespace(
        file=tmp_path / "a.skneg", source=str(tmp_path / "test"), out=tmp_path / "out.html",
        ood=[str(tmp_path / "other")], no_labels=False, no_names=True, images=4, on_error="raise",
        model=None, pretrained=None, device=None,
    )  # fmt: skip


def test_folders_give_a_page(options, capsys):
    report(options)
    page = options.out.read_text("utf-8")
    assert 'id="answers"' in page
    assert ">other<" in page
    assert capsys.readouterr().err.strip().endswith("out.html")


def test_sets_have_the_names_that_are_given(options):
    options.ood = [f"strangers={options.ood[0]}"]
    report(options)
    assert ">strangers<" in options.out.read_text("utf-8")
    options.ood *= 2
    with pytest.raises(InputError, match="two sets called 'strangers'"):
        report(options)


def test_any_images_will_do_without_labels(options):
    options.no_labels = True
    report(options)
    assert 'id="answers"' not in options.out.read_text("utf-8")


def test_unreadable_images_are_skipped_where_that_is_asked_for(options, tmp_path, capsys):
    (tmp_path / "other" / "broken.png").write_bytes(b"broken")
    with pytest.raises(ImageError):
        report(options)
    options.on_error = "skip"
    report(options)
    assert "skipped" in capsys.readouterr().err
