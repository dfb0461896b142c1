from types import SimpleNamespace

import pytest
from PIL import Image

import skneg
from skneg._commands._fit import calibrate, of_model, settings
from skneg.errors import InputError


def test_settings_are_literals_or_text():
    assert settings(["a=1", "recipe__n_negative=2", "words=nouns", "b=None", "c=x=y"]) == {
        "a": 1, "recipe__n_negative": 2, "words": "nouns", "b": None, "c": "x=y",
    }  # fmt: skip
    with pytest.raises(InputError, match="PARAMETER=VALUE"):
        settings(["=1"])


def test_only_what_was_given_is_set():
    assert of_model(SimpleNamespace(model="m", pretrained=None, device=None)) == {"model": "m"}


class TestCalibrate:
    @pytest.fixture
    def options(self, scenes, strange_scenes, tmp_path):
        X, y = scenes
        skneg.MCMDetector(model="skneg-tiny").fit(X[:60], y[:60]).save(tmp_path / "a.skneg")
        for number in range(60, 100):
            for folder, pixels in ((f"site/{y[number]}", X[number]), ("other", strange_scenes[number - 60])):
                (tmp_path / folder).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(tmp_path / folder / f"{number}.png")
        return SimpleNamespace(
            file=tmp_path / "a.skneg", source=str(tmp_path / "site"), out=tmp_path / "b.skneg",
            contamination=0.1, no_labels=False, unknown=str(tmp_path / "other"), accepted=0.2, cost=None,
            on_error="raise", model=None, pretrained=None, device=None,
        )  # fmt: skip

    def test_unknown_images_move_the_threshold(self, options, tmp_path):
        calibrate(options)
        new, unknown = skneg.load(options.out), sorted((tmp_path / "other").iterdir())
        assert (new.decision_function(unknown) >= 0).mean() <= 0.2
        options.unknown = options.accepted = None
        calibrate(options)
        assert skneg.load(options.out).offset_ != new.offset_

    @pytest.mark.parametrize("change", [{"accepted": None}, {"unknown": None}, {"cost": 2.0}])
    def test_what_does_not_go_together_is_refused(self, options, change):
        vars(options).update(change)
        with pytest.raises(InputError, match="accepted"):
            calibrate(options)
        assert not options.out.exists()

    def test_images_of_any_folder_will_do_without_labels(self, options, tmp_path):
        (tmp_path / "flat").mkdir()
        for number, path in enumerate((tmp_path / "site").rglob("*.png")):
            path.rename(tmp_path / "flat" / f"{number}.png")
        vars(options).update(source=str(tmp_path / "flat"), unknown=None, accepted=None)
        with pytest.raises(InputError, match="--no-labels"):
            calibrate(options)
        options.no_labels = True
        calibrate(options)
        assert skneg.load(options.out).calibration_names_ is None
