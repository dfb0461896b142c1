"""Models and weight files by hash: the one that was recorded is asked for again, any other is refused."""

import hashlib
import json
import pickle
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import skneg
from skneg.backbone import load_backbone
from skneg.backbone._tiny import TINY_FOLDER, WEIGHTS_NAME
from skneg.errors import BackboneError, InputError, PersistenceError
from skneg.persistence import check_backbone, check_weight_file, read_header
from skneg.persistence._models import describe_models

from ..conftest import STRANGE
from .conftest import assert_answers_alike, forge


@pytest.fixture
def moved(tmp_path):
    """Copy the shipped model, with changes to its weights or configuration."""

    def copy(name, weights=None, **settings):
        folder = tmp_path / name
        shutil.copytree(TINY_FOLDER, folder)
        config = json.loads((folder / "open_clip_config.json").read_text())
        config["preprocess_cfg"].update(settings.get("preprocess", {}))
        config["model_cfg"].update(settings.get("model", {}))
        (folder / "open_clip_config.json").write_text(json.dumps(config))
        if weights:
            tensors = load_file(folder / WEIGHTS_NAME)
            weights(tensors)
            save_file(tensors, folder / WEIGHTS_NAME)
        return f"local-dir:{folder}"

    return copy


def test_moved_weights_load_from_where_they_are(moved, embedded, tmp_path):
    X, y = embedded
    detector = skneg.MCMDetector(model=moved("old")).fit(X, y)
    detector.save(tmp_path / "a.skneg")
    (tmp_path / "old").rename(tmp_path / "new")
    load_backbone.__globals__["_loaded"].pop(
        next(key for key in load_backbone.__globals__["_loaded"] if key[0].endswith("/old"))
    )
    with pytest.raises(BackboneError, match="does not exist"):
        skneg.load(tmp_path / "a.skneg").set_vocabulary(STRANGE)
    again = skneg.load(tmp_path / "a.skneg", model=f"local-dir:{tmp_path / 'new'}")
    assert_answers_alike(detector, again, X)
    assert again.set_vocabulary(STRANGE).classes_.tolist() == sorted(STRANGE)
    assert_answers_alike(detector, skneg.load(tmp_path / "a.skneg", model="skneg-tiny"), X)


def test_other_weights_are_refused(moved, learned, tmp_path):
    def nudge(tensors):
        tensors["text_projection"][0, 0] += np.float16(0.1)

    learned.save(tmp_path / "a.skneg")
    other = moved("other", nudge)
    with pytest.raises(BackboneError, match=rf"'skneg-tiny' with weights of sha256 \w+; '{other}'"):
        skneg.load(tmp_path / "a.skneg", model=other).set_vocabulary(STRANGE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"preprocess": {"mean": [0.4, 0.5, 0.5]}}, r"mean=\[0.5, 0.5, 0.5\].* mean=\[0.4"),
        ({"model": {"quick_gelu": True}}, "same weights, but activation="),
    ],
)
def test_the_same_weights_with_other_settings_are_refused(change, message, moved, learned, tmp_path):
    learned.save(tmp_path / "a.skneg")
    with pytest.raises(BackboneError, match=message):
        skneg.load(tmp_path / "a.skneg", model=moved("other", **change)).set_vocabulary(STRANGE)


def test_a_model_changed_after_fit_is_not_saved_in_its_place(moved, learned, tmp_path):
    changed = pickle.loads(pickle.dumps(learned)).set_params(model=moved("other"))
    with pytest.raises(PersistenceError, match="fitted with the model 'skneg-tiny'"):
        changed.save(tmp_path / "a.skneg")


def test_features_of_images_are_tied_to_their_model(scenes, tmp_path):
    X, y = scenes[0][:60], scenes[1][:60]
    detector = skneg.KNNDetector(model="skneg-tiny", contamination=0.1, random_state=0).fit(X, y)
    detector.save(tmp_path / "a.skneg")
    recorded = read_header(tmp_path / "a.skneg")["detector"]["backbone"]
    assert recorded["sha256"] == load_backbone("skneg-tiny").weights_sha256
    assert_answers_alike(detector, skneg.load(tmp_path / "a.skneg"), X)


def test_what_never_used_a_backbone_needs_none(embedded, tmp_path):
    X, y = embedded
    detector = skneg.KNNDetector(model="not a model", random_state=0).fit(X, y)
    detector.save(tmp_path / "a.skneg")
    assert read_header(tmp_path / "a.skneg")["detector"]["backbone"] is None
    assert_answers_alike(detector, skneg.load(tmp_path / "a.skneg"), X)


def test_a_device_that_is_not_here_is_replaced_with_a_warning(learned, embedded, tmp_path):
    learned.save(tmp_path / "a.skneg")
    forge(
        tmp_path / "a.skneg",
        lambda header, _: header["detector"]["parameters"].update(device="cuda:99"),
    )
    with pytest.warns(UserWarning, match="device='cuda:99'.*device='cpu'") as caught:
        again = skneg.load(tmp_path / "a.skneg")
    assert caught[0].filename == __file__
    assert again.device == "auto"
    assert_answers_alike(learned, again, embedded[0])
    assert skneg.load(tmp_path / "a.skneg", device="cpu").device == "cpu"
    with pytest.raises(InputError, match="abacus"):
        skneg.load(tmp_path / "a.skneg", device="abacus")
    with pytest.raises(InputError, match="device=array"):
        skneg.load(tmp_path / "a.skneg", device=np.ones(2))


def test_a_device_that_is_not_here_is_replaced_where_no_model_was_used(scenes, embedded, tmp_path):
    detector = skneg.KNNDetector(model="skneg-tiny", random_state=0).fit(*embedded)
    path = tmp_path / "a.skneg"
    detector.save(path)
    forge(path, lambda header, _: header["detector"]["parameters"].update(device="cuda:99"))
    with pytest.warns(UserWarning, match="device='cuda:99'") as caught:
        again = skneg.KNNDetector.load(path)
    assert caught[0].filename == __file__
    assert again.device == "auto"
    np.testing.assert_array_equal(again.predict(scenes[0][:5]), detector.predict(scenes[0][:5]))


def test_a_no_tower_s_file_is_checked(no_encoder, scenes, tmp_path):
    own = shutil.copy(no_encoder, tmp_path / "no.safetensors")
    X, y = scenes[0][:40], scenes[1][:40]
    detector = skneg.CLIPNDetector(no_encoder=str(own), model="skneg-tiny").fit(X, y)
    detector.save(tmp_path / "a.skneg")
    moved = own.rename(tmp_path / "moved.safetensors")
    with pytest.raises(PersistenceError, match=r"cannot be read.*load\(path, no_encoder="):
        skneg.load(tmp_path / "a.skneg").set_vocabulary(STRANGE)
    with pytest.raises(PersistenceError, match="no_encoder=.* cannot be read"):
        detector.save(tmp_path / "b.skneg")
    assert_answers_alike(detector, skneg.load(tmp_path / "a.skneg", no_encoder=moved), X[:5])
    tensors = load_file(moved)
    tensors["prompt_no"] += 1
    save_file(tensors, own)
    with pytest.raises(PersistenceError, match="recorded is"):
        skneg.load(tmp_path / "a.skneg").set_vocabulary(STRANGE)


MODEL = SimpleNamespace(name="mine", weights_sha256="aa", settings={"mean": [0.5], "activation": ["GELU"]})


def test_only_settings_that_were_recorded_are_compared():
    recorded = {"name": "theirs", "sha256": "aa", "settings": {"mean": [0.5]}}
    check_backbone(MODEL, recorded)  # of an older skneg, which recorded no activation
    check_backbone(MODEL, {"name": "theirs"})  # a detector that was fitted in this process
    with pytest.raises(BackboneError, match=r"'theirs' with mean=\[0.4\].*'mine'"):
        check_backbone(MODEL, {**recorded, "settings": {"mean": [0.4]}})
    with pytest.raises(BackboneError, match="'theirs' with weights of sha256 bb; 'mine'.* aa"):
        check_backbone(MODEL, {**recorded, "sha256": "bb"})


def test_what_a_file_says_of_its_model_is_kept_without_loading_one():
    recorded = {"name": "gone", "sha256": "aa", "settings": {}, "files": {}}
    kept = describe_models(None, recorded)  # a detector would be asked for its model
    assert kept == recorded
    assert kept is not recorded
    assert describe_models(None, None) is None


def test_a_weight_file_is_asked_for_by_its_hash(tmp_path):
    file = tmp_path / "no.bin"
    file.write_bytes(b"skneg")
    own = {"files": {"no_encoder": hashlib.sha256(b"skneg").hexdigest()}}
    check_weight_file("no_encoder", file, own)
    check_weight_file("no_encoder", file, None)
    check_weight_file("no_encoder", file, {"files": {"other": "bb"}})
    with pytest.raises(PersistenceError, match=r"sha256 \w{64}, recorded is bb.*load\(path, no_encoder="):
        check_weight_file("no_encoder", file, {"files": {"no_encoder": "bb"}})
