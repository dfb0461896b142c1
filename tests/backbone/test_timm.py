"""Image models of timm: what plain timm computes, from folders that are data."""

import json
import os
import pickle
import shutil

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn import functional

from skneg.backbone import _loading, _timm, embedding_width, load_backbone
from skneg.backbone._timm import CONFIG_NAME
from skneg.cache import encoding_of
from skneg.errors import BackboneError, InputError, VocabularyError
from skneg.images import as_image_sequence

WEIGHTS = "model.safetensors"
PHOTO = np.random.default_rng(0).integers(0, 256, (3, 90, 130, 3), dtype=np.uint8)


def saved(folder, name="test_vit", seed=0, **arguments):
    """A folder of a random model, as timm writes it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = timm.create_model(name, **arguments)
    # Newer versions of timm record both by themselves.
    size = arguments.get("img_size")
    told = {"pretrained_cfg": {"input_size": [3, size, size]}} if size else {}
    timm.models.save_for_hf(model, folder, told, model_args=arguments, safe_serialization=True)
    return folder


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("timm") / "model")


@pytest.fixture
def folder(template, tmp_path, monkeypatch):
    monkeypatch.setattr(_loading, "_loaded", {})
    return shutil.copytree(template, tmp_path / "model")


def plain(model):
    """Embeddings of `PHOTO`, by timm and torch alone."""
    model = model.eval()
    prepare = timm.data.create_transform(**timm.data.resolve_data_config({}, model=model))
    with torch.inference_mode():
        features = model(torch.stack([prepare(Image.fromarray(pixels)) for pixels in PHOTO]))
    return functional.normalize(features, dim=-1).numpy()


def changed(folder, **entries):
    """Overwrite entries of the configuration; ``pretrained_cfg`` and ``model_args`` are joined."""
    file = folder / CONFIG_NAME
    config = json.loads(file.read_text())
    for name, value in entries.items():
        is_joined = isinstance(value, dict) and isinstance(config.get(name), dict)
        config[name] = {**config[name], **value} if is_joined else value
    file.write_text(json.dumps(config))


def load(folder):
    return load_backbone(f"timm:local-dir:{folder}", device="cpu")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("test_vit", {}),
        ("test_vit", {"img_size": 64, "num_classes": 0}),  # the sides are interpolated, nothing is left out
        ("test_convnext", {}),
        ("test_resnet", {"num_classes": 7}),  # bilinear
    ],
)
def test_embeddings_are_those_of_timm(name, arguments, tmp_path):
    folder = saved(tmp_path / "model", name, **arguments)
    expected = plain(timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0))
    ours = load(folder).image_tower.encode(as_image_sequence(PHOTO))
    np.testing.assert_allclose(ours, expected, atol=1e-6)
    assert ours.dtype == np.float32
    assert embedding_width(f"timm:local-dir:{folder}") == ours.shape[1]


@pytest.mark.parametrize(
    "preparation",
    [
        {"crop_mode": "squash", "crop_pct": 0.5},
        {"crop_mode": "border", "interpolation": "nearest"},
        {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.6, 0.7], "input_size": [3, 96, 160], "crop_pct": 1.1},
    ],
)
def test_images_are_prepared_as_the_folder_says(preparation, tmp_path):
    folder = saved(tmp_path / "model", "test_resnet")
    changed(folder, pretrained_cfg=preparation)
    expected = plain(timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0))
    backbone = load(folder)
    np.testing.assert_allclose(backbone.image_tower.encode(as_image_sequence(PHOTO)), expected, atol=1e-6)
    assert preparation.items() <= {k: v for k, v in backbone.settings.items() if k in preparation}.items()


def test_an_old_folder_has_one_level(folder):
    expected = load(folder).image_tower.encode(as_image_sequence(PHOTO))
    config = json.loads((folder / CONFIG_NAME).read_text())
    (folder / CONFIG_NAME).write_text(
        json.dumps({"architecture": config["architecture"], **config["pretrained_cfg"]})
    )
    _loading._loaded.clear()
    np.testing.assert_array_equal(load(folder).image_tower.encode(as_image_sequence(PHOTO)), expected)


class TestWeights:
    """Random ones are never used, and nothing in their file is run."""

    def test_a_folder_without_weights_is_refused_by_its_name(self, folder):
        (folder / WEIGHTS).unlink()
        with pytest.raises(BackboneError, match=f"{folder}.*has no weights"):
            load(folder)

    @pytest.mark.parametrize("damage", ["lacks", "has more", "another shape"])
    def test_weights_that_do_not_fit_are_refused_by_their_name(self, damage, folder):
        weights = load_file(folder / WEIGHTS)
        key = "blocks.0.attn.qkv.weight"
        if damage == "lacks":
            del weights[key]
        else:
            weights["more.weight" if damage == "has more" else key] = torch.zeros(3)
        save_file(weights, folder / WEIGHTS)
        with pytest.raises(BackboneError, match="more.weight" if damage == "has more" else key):
            load(folder)

    def test_a_classifier_that_the_configuration_promises_must_be_there(self, folder):
        weights = load_file(folder / WEIGHTS)
        save_file({k: v for k, v in weights.items() if not k.startswith("head.")}, folder / WEIGHTS)
        with pytest.raises(BackboneError, match="head.weight"):
            load(folder)
        changed(folder, num_classes=0, model_args={"num_classes": 0})
        assert load(folder).weights_sha256

    def test_damaged_weights_are_refused(self, folder):
        weights = load_file(folder / WEIGHTS)
        weights["norm.weight"][:] = torch.nan
        save_file(weights, folder / WEIGHTS)
        with pytest.raises(BackboneError, match="weights are damaged"):
            load(folder)

    def test_a_model_larger_than_its_file_takes_no_memory(self, folder, monkeypatch):
        changed(folder, architecture="vit_giant_patch14_dinov2", model_args={})
        with pytest.raises(BackboneError, match="weights, and .* bytes: it belongs to another model"):
            load(folder)

    def test_pickled_weights_are_read_without_code(self, folder):
        weights, expected = load_file(folder / WEIGHTS), load(folder).weights_sha256
        (folder / WEIGHTS).unlink()
        torch.save({"state_dict": weights}, folder / "pytorch_model.bin")
        _loading._loaded.clear()
        assert load(folder).weights_sha256 == expected
        ran = folder / "it ran"

        class Canary:
            def __reduce__(self):
                return (ran.touch, ())

        for data in (pickle.dumps(Canary()), b"", b"\x80\x04"):
            (folder / "pytorch_model.bin").write_bytes(data)
            _loading._loaded.clear()
            with pytest.raises(BackboneError, match="could not be loaded"):
                load(folder)
        assert not ran.exists()

    @pytest.mark.parametrize("reads", ["nothing", "all but one", "all"])
    def test_of_a_name_random_weights_are_never_used(self, reads, folder, monkeypatch):
        """Also where timm itself goes on without some of them."""
        weights = load_file(folder / WEIGHTS)

        def load_pretrained(model, **_):
            if reads != "nothing":
                skipped = ["pos_embed"] if reads == "all but one" else []
                model.load_state_dict({k: v for k, v in weights.items() if k not in skipped}, strict=False)

        monkeypatch.setattr(timm.models._builder, "load_pretrained", load_pretrained)
        monkeypatch.setattr(_loading, "_hub_answers", lambda: False)
        if reads == "all":
            of_name = load_backbone("timm:test_vit.r160_in1k", device="cpu")
            assert of_name.weights_sha256 == load(folder).weights_sha256
            assert embedding_width("timm:test_vit") == 64
            return
        with pytest.raises(BackboneError) as caught:
            load_backbone("timm:test_vit.r160_in1k", device="cpu")
        assert "does not answer" in str(caught.value)  # as it was cut off; and with the hub there:
        monkeypatch.setattr(_loading, "_hub_answers", lambda: True)
        monkeypatch.setattr(_loading, "announce_download", lambda *_: None)
        with pytest.raises(BackboneError, match="its weights lack '(cls_token|pos_embed)'"):
            load_backbone("timm:test_vit.r160_in1k", device="cpu")


class TestConfiguration:
    """What a folder says reaches nothing but what is listed."""

    @pytest.mark.parametrize(
        "hostile",
        [
            {"url": "http://127.0.0.1:9/weights"},
            {"file": "/etc/passwd"},
            {"hf_hub_id": "someone/else", "source": "hf-hub"},
            {"state_dict": {"norm.weight": [1.0]}},
            {"custom_load": True},
            {"first_conv": "head", "classifier": "patch_embed.proj", "label_offset": 7},
        ],
        ids=str,
    )
    def test_where_weights_come_from_is_not_looked_at(self, hostile, folder):
        expected = load(folder)
        pixels = expected.image_tower.encode(as_image_sequence(PHOTO))
        changed(folder, pretrained_cfg=hostile, **hostile)
        _loading._loaded.clear()
        found = load(folder)
        assert found.weights_sha256 == expected.weights_sha256
        np.testing.assert_array_equal(found.image_tower.encode(as_image_sequence(PHOTO)), pixels)

    @pytest.mark.parametrize(
        "name",
        [
            "checkpoint_path", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir",
            "pruned", "features_only", "feature_cls", "scriptable", "embed_dim", "depth", "block_fn",
        ],
    )  # fmt: skip
    def test_other_arguments_are_refused_by_their_name(self, name, folder):
        changed(folder, model_args={name: "/tmp/x"})
        for read in (load, lambda folder: embedding_width(f"timm:local-dir:{folder}")):
            with pytest.raises(BackboneError, match=f"{CONFIG_NAME}.*model_args.{name} is not allowed"):
                read(folder)

    @pytest.mark.parametrize(
        ("entries", "said"),
        [
            ({"architecture": "hf-hub:someone/model"}, "architecture"),
            ({"architecture": ["test_vit"]}, "architecture"),
            ({"architecture": None}, "architecture"),
            ({"model_args": ["img_size"]}, "model_args is"),
            ({"pretrained_cfg": None}, "pretrained_cfg is"),
            ({"model_args": {"img_size": 2**20}}, "img_size"),
            ({"model_args": {"img_size": True}}, "img_size"),
            ({"model_args": {"in_chans": 12}}, "in_chans"),
            ({"model_args": {"act_layer": "os.system"}}, "act_layer"),
            ({"model_args": {"act_layer": {}}}, "act_layer"),
            ({"model_args": {"class_token": "no"}}, "class_token"),
            ({"model_args": {"init_values": 1e9}}, "init_values"),
            ({"num_classes": 10**12, "model_args": {}}, "num_classes|could not be loaded"),
            ({"pretrained_cfg": {"crop_pct": 1e-9}}, "crop_pct"),
            ({"pretrained_cfg": {"crop_pct": float("nan")}}, "crop_pct"),
            ({"pretrained_cfg": {"interpolation": "random"}}, "interpolation"),
            ({"pretrained_cfg": {"input_size": [3, 160]}}, "input_size"),
            ({"pretrained_cfg": {"input_size": [1, 160, 160]}}, "input_size"),
            ({"pretrained_cfg": {"input_size": [3, 10**6, 10**6]}}, "input_size"),
            ({"pretrained_cfg": {"std": [0, 0, 0]}}, "std"),
            ({"pretrained_cfg": {"mean": "mean"}}, "mean"),
        ],
    )
    def test_what_is_no_value_of_its_kind_is_refused(self, entries, said, folder):
        if "num_classes" in entries:
            config = json.loads((folder / CONFIG_NAME).read_text())
            config.setdefault("model_args", {}).pop("num_classes", None)
            (folder / CONFIG_NAME).write_text(json.dumps(config))
        changed(folder, **entries)
        with pytest.raises(BackboneError, match=said):
            load(folder)

    @pytest.mark.parametrize("text", ["", "[]", "null", "{", '"config"', "[" * 50, "\xff"])
    def test_what_is_no_configuration_is_refused(self, text, folder):
        (folder / CONFIG_NAME).write_bytes(text.encode("latin-1"))
        with pytest.raises(BackboneError, match=CONFIG_NAME):
            load(folder)

    def test_a_size_that_does_not_fit_the_model_is_refused(self, folder):
        changed(folder, pretrained_cfg={"input_size": [3, 50, 50]})
        with pytest.raises(BackboneError, match="could not be loaded"):
            load(folder)


def test_a_place_or_a_name_that_does_not_exist_says_the_way_out(tmp_path):
    with pytest.raises(BackboneError, match=f"no {CONFIG_NAME}.*local-dir:/path"):
        load(tmp_path)
    with pytest.raises(BackboneError, match="no weights for a model 'test_vit0'.*test_vit"):
        load_backbone("timm:test_vit0")
    with pytest.raises(BackboneError, match="test_vit.other.*weights of another name"):
        load_backbone("timm:test_vit.other")
    with pytest.raises(BackboneError, match=f"Write local-dir:{tmp_path}"):
        load_backbone(f"timm:{tmp_path}")
    with pytest.raises(InputError, match="pretrained='x' is not used"):
        load_backbone("timm:test_vit", pretrained="x")
    assert _timm.hub_files("hf-hub:someone/model") == ("someone/model", [WEIGHTS, "pytorch_model.bin"])
    assert _timm.hub_files("test_vit.r160_in1k")[0] == "timm/test_vit.r160_in1k"


def test_a_hub_that_does_not_answer_is_a_clear_error(monkeypatch):
    for name in ("timm:test_vit", "timm:hf-hub:someone/model"):
        with pytest.raises(BackboneError, match=f"{name}.*could not be loaded(.|\n)*does not answer"):
            load_backbone(name)


def test_a_model_is_loaded_once_from_wherever_it_is_named(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("HOME", str(folder.parent))
    assert load("model") is load(folder) is load("~/model")


def test_embeddings_of_other_models_are_not_taken_from_a_cache(folder, tmp_path):
    one = load(folder)
    assert encoding_of(one) == encoding_of(load(saved(tmp_path / "copy")))
    changed(folder, pretrained_cfg={"crop_pct": 0.5})
    _loading._loaded.clear()
    others = [load(folder), load(saved(tmp_path / "another", seed=1)), load_backbone("skneg-tiny")]
    assert len({encoding_of(backbone) for backbone in [one, *others]}) == 4


def test_there_is_no_text_tower_and_the_error_says_what_does_without(folder):
    from skneg import GLMCMDetector, MCMDetector, NegPromptDetector

    model = f"timm:local-dir:{folder}"
    for detector in (MCMDetector, NegPromptDetector, GLMCMDetector):
        with pytest.raises((BackboneError, VocabularyError), match="reads no class names.*KNNDetector"):
            detector(model=model).fit(list(PHOTO) * 4, ["a", "b", "c"] * 4)
    with pytest.raises(BackboneError, match="has no local features"):
        load(folder).image_tower.encode(as_image_sequence(PHOTO), local=True)


def test_the_generator_of_the_process_is_not_used(folder):
    before = torch.random.get_rng_state()
    load(folder)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert os.listdir(folder)
