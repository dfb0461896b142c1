import os

import numpy as np
import open_clip
import pytest
import torch
from torch.nn import functional

from skneg.backbone import TextTower, load_backbone
from skneg.backbone._no_tower import copy_text_tower, load_no_tower, save_no_tower
from skneg.datasets.train_tiny import MODEL_CFG
from skneg.errors import BackboneError, InputError, InputTypeError

from ..prompts.conftest import build_tower

TEXTS = ["a photo without a star", "key", "there is no lightning bolt in this picture"]
PARTS = ("transformer.", "token_embedding.", "positional_embedding", "ln_final.", "text_projection")


def random_clip(seed: int) -> open_clip.CLIP:
    torch.manual_seed(seed)
    return open_clip.CLIP(**MODEL_CFG).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def backbone():
    return load_backbone("skneg-tiny")


@pytest.fixture(scope="module")
def no_network() -> open_clip.CLIP:
    return random_clip(1)


@pytest.fixture(scope="module")
def published(no_network) -> dict[str, torch.Tensor]:
    """The weights of a published checkpoint, without what surrounds them."""
    state = dict(random_clip(0).state_dict())
    for key, value in no_network.state_dict().items():
        if key.startswith(PARTS):
            part, dot, rest = key.partition(".")
            state[f"{part}_no{dot}{rest}"] = value
    state["prompt_no"] = 0.1 * torch.randn(16, 32, 64, generator=torch.Generator().manual_seed(2))
    return state


def write(folder, state, name="epoch_10.pt", prefix="module."):
    path = folder / name
    wrapped = {"epoch": 10, "name": "clipn", "state_dict": {prefix + k: v for k, v in state.items()}}
    torch.save(wrapped, path)
    return path


def plainly_encoded(network, prompts, backbone) -> np.ndarray:
    tokens = backbone.text_tower.tokenize(TEXTS)
    with torch.no_grad():
        x = network.token_embedding(tokens) + network.positional_embedding + prompts.mean(0)
        for block in network.transformer.resblocks:
            x = block(x, attn_mask=network.attn_mask)
        x = network.ln_final(x)[torch.arange(len(tokens)), tokens.argmax(-1)] @ network.text_projection
        return functional.normalize(x, dim=-1).numpy()


class TestLoading:
    def test_a_published_checkpoint_encodes_as_its_authors_do(
        self, backbone, published, no_network, tmp_path
    ):
        tower = load_no_tower(backbone, write(tmp_path, published))
        expected = plainly_encoded(no_network, published["prompt_no"], backbone)
        np.testing.assert_allclose(tower.encode(TEXTS), expected, atol=1e-5)
        without = plainly_encoded(no_network, torch.zeros(1, 32, 64), backbone)
        assert np.abs(without - expected).max() > 1e-2  # the prompts matter

    def test_layouts_differ_in_nothing_but_their_wrapping(self, backbone, published, tmp_path):
        expected = load_no_tower(backbone, write(tmp_path, published)).encode(TEXTS)
        plain = write(tmp_path, published, "plain.pt", prefix="")
        torch.save(published, tmp_path / "bare.pt")
        torch.save(published, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
        only_no = {k: v for k, v in published.items() if "_no" in k}
        torch.save(only_no, tmp_path / "only.pt")
        for path in (plain, tmp_path / "bare.pt", tmp_path / "legacy.pt", str(tmp_path / "only.pt")):
            np.testing.assert_array_equal(load_no_tower(backbone, path).encode(TEXTS), expected)

    def test_half_precision_weights_are_widened(self, backbone, published, tmp_path):
        halved = {k: v.half() if v.is_floating_point() else v for k, v in published.items()}
        tower = load_no_tower(backbone, write(tmp_path, halved))
        assert {p.dtype for p in tower.module.parameters()} == {torch.float32}
        expected = load_no_tower(backbone, write(tmp_path, published, "full.pt")).encode(TEXTS)
        np.testing.assert_allclose(tower.encode(TEXTS), expected, atol=0.01)

    def test_a_file_is_read_once_until_it_changes(self, backbone, published, tmp_path):
        path = write(tmp_path, published)
        first = load_no_tower(backbone, path)
        assert load_no_tower(backbone, str(path)) is first
        write(tmp_path, {**published, "text_projection_no": -published["text_projection_no"]})
        os.utime(path, ns=(1, 1))
        changed = load_no_tower(backbone, path)
        assert changed is not first
        np.testing.assert_allclose(changed.encode(TEXTS), -first.encode(TEXTS), atol=1e-6)

    def test_the_backbone_stays_as_it_was_and_its_image_tower_is_not_copied(
        self, backbone, published, tmp_path
    ):
        before = backbone.text_tower.encode(TEXTS)
        tower = load_no_tower(backbone, write(tmp_path, published))
        np.testing.assert_array_equal(backbone.text_tower.encode(TEXTS), before)
        assert isinstance(tower, TextTower)
        assert tower.causal
        assert not any(name.startswith("visual") for name, _ in tower.module.named_parameters())
        assert not any(p.requires_grad for p in tower.module.parameters())

    def test_a_text_tower_of_another_kind_is_refused(self):
        with pytest.raises(BackboneError, match="causal"):
            copy_text_tower(build_tower("ViT-B-16-SigLIP"))


class TestRefusals:
    @pytest.mark.parametrize(
        "key",
        [
            "transformer_no.resblocks.2.mlp.c_fc.bias", "token_embedding_no.weight", "prompt_no",
            "positional_embedding_no", "ln_final_no.weight", "ln_final_no.bias", "text_projection_no",
        ],
    )  # fmt: skip
    def test_a_missing_weight_is_named(self, backbone, published, tmp_path, key):
        path = write(tmp_path, {k: v for k, v in published.items() if k != key})
        with pytest.raises(BackboneError, match=f"no weight '{key}'.*train_no_encoder"):
            load_no_tower(backbone, path)

    @pytest.mark.parametrize(
        ("key", "value", "message"),
        [
            ("text_projection_no", torch.zeros(64, 512), "shape .64, 512.; this model needs .64, 128."),
            ("prompt_no", torch.zeros(16, 77, 64), "'prompt_no' has shape"),
            ("prompt_no", torch.zeros(0, 32, 64), "'prompt_no' has shape .0, 32, 64."),
            ("positional_embedding_no", torch.zeros(32), "'positional_embedding_no' has shape .32,."),
            ("ln_final_no.bias", torch.full((64,), torch.nan), "'ln_final_no.bias' holds NaN"),
            ("ln_final_no.bias", "zero", "no weight 'ln_final_no.bias'"),
            ("transformer_no.resblocks.3.ln_1.bias", torch.zeros(64), "resblocks.3.*another model"),
        ],
    )
    def test_a_weight_that_does_not_fit_is_named(self, backbone, published, tmp_path, key, value, message):
        with pytest.raises(BackboneError, match=message):
            load_no_tower(backbone, write(tmp_path, {**published, key: value}))

    def test_weights_that_compute_nothing_are_refused(self, backbone, published, tmp_path):
        spoiled = {**published, "ln_final_no.weight": torch.full((64,), 3e38)}
        with pytest.raises(BackboneError, match="not length 1"):
            load_no_tower(backbone, write(tmp_path, spoiled))

    def test_a_checkpoint_with_code_in_it_is_refused_and_never_run(self, backbone, published, tmp_path):
        ran = tmp_path / "ran"

        class Canary:
            def __reduce__(self):
                return (ran.write_text, ("boom",))

        for name, options in (("new.pt", {}), ("old.pt", {"_use_new_zipfile_serialization": False})):
            torch.save({"state_dict": published, "epoch": Canary()}, tmp_path / name, **options)
            with pytest.raises(BackboneError, match="could not be read"):
                load_no_tower(backbone, tmp_path / name)
        assert not ran.exists()

    @pytest.mark.parametrize("name", ["no.pt", "no.safetensors"])
    @pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 broken"])
    def test_a_file_of_another_kind_is_refused(self, backbone, tmp_path, name, content):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BackboneError, match="could not be read"):
            load_no_tower(backbone, tmp_path / name)

    def test_no_file_says_how_to_get_one(self, backbone, tmp_path):
        with pytest.raises(BackboneError, match="gone.pt.*train_no_encoder"):
            load_no_tower(backbone, tmp_path / "gone.pt")
        with pytest.raises(BackboneError, match="not a regular file"):
            load_no_tower(backbone, tmp_path)
        with pytest.raises(InputTypeError, match="checkpoint must be a path, got a int"):
            load_no_tower(backbone, 5)
        torch.save([1, 2], tmp_path / "list.pt")
        with pytest.raises(BackboneError, match="no dict"):
            load_no_tower(backbone, tmp_path / "list.pt")


class TestSaving:
    def test_a_saved_tower_comes_back_with_its_bits(self, backbone, published, tmp_path):
        tower = load_no_tower(backbone, write(tmp_path, published))
        save_no_tower(tower, tmp_path / "no.safetensors")
        again = load_no_tower(backbone, tmp_path / "no.safetensors")
        assert again is not tower
        np.testing.assert_array_equal(again.encode(TEXTS), tower.encode(TEXTS))

    def test_saving_leaves_one_file_or_none(self, backbone, tmp_path, monkeypatch):
        target = tmp_path / "no.safetensors"
        tower = copy_text_tower(backbone.text_tower)
        save_no_tower(tower, target)
        assert list(tmp_path.iterdir()) == [target]
        before = target.read_bytes()

        def fail(*_):
            raise OSError("disk full")

        monkeypatch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="disk full"):
            save_no_tower(tower, target)
        assert list(tmp_path.iterdir()) == [target]
        assert target.read_bytes() == before

    def test_a_path_that_cannot_be_written_is_refused(self, backbone, tmp_path):
        with pytest.raises(InputError, match="must end in '.safetensors'"):
            save_no_tower(backbone.text_tower, tmp_path / "no.pt")
        with pytest.raises(InputError, match="nowhere.*does not exist"):
            save_no_tower(backbone.text_tower, tmp_path / "nowhere" / "no.safetensors")
