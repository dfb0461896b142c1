"""Two models as one: images seen by both, texts read by CLIP."""

import numpy as np
import pytest
import torch

from skneg.backbone import embedding_width, load_backbone
from skneg.backbone._no_tower import copy_text_tower
from skneg.backbone._pair import of_text_alone
from skneg.cache import encoding_of
from skneg.errors import BackboneError, ImageError, InputWarning
from skneg.images import as_image_sequence
from skneg.prompts import PromptRecipe, train_prompts

from .test_timm import saved

ROOT = np.sqrt(2)


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    return f"timm:local-dir:{saved(tmp_path_factory.mktemp('pair') / 'model')}"


@pytest.fixture(scope="module")
def pair(second):
    return load_backbone(f"skneg-tiny+{second}", device="cpu")


@pytest.fixture(scope="module")
def models(second):
    return load_backbone("skneg-tiny", device="cpu"), load_backbone(second, device="cpu")


def test_an_image_has_both_embeddings(pair, models, scenes):
    images = as_image_sequence(scenes[0][:9])
    Z = pair.image_tower.encode(images, batch_size=4)
    one, two = (model.image_tower.encode(images) for model in models)
    np.testing.assert_allclose(Z, np.concatenate([one, two], axis=1) / ROOT, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(Z, axis=1), 1, atol=1e-6)
    assert Z.dtype == np.float32
    assert embedding_width(pair.name) == Z.shape[1] == 192
    assert pair.image_tower.image_size == models[0].image_tower.image_size


def test_a_text_has_clip_s_embedding_and_cosines_over_the_temperature_are_clip_s(pair, models, scenes):
    texts = ["a photo of a star", "key"]
    ours, clip = pair.text_tower.encode(texts), models[0].text_tower.encode(texts)
    np.testing.assert_allclose(ours[:, :128], clip, atol=1e-6)
    assert (ours[:, 128:] == 0).all()
    images = as_image_sequence(scenes[0][:4])
    logits = pair.image_tower.encode(images) @ ours.T / pair.text_tower.temperature
    expected = models[0].image_tower.encode(images) @ clip.T / models[0].text_tower.temperature
    np.testing.assert_allclose(logits, expected, rtol=1e-4)
    tokens = pair.text_tower.tokenize(texts)
    full = pair.text_tower.encode_tokens(tokens).detach().numpy()
    np.testing.assert_allclose(full[:, :128], models[0].text_tower.encode_tokens(tokens).numpy(), atol=1e-6)
    assert full.shape == (2, 192)


def test_prompts_are_trained_as_for_clip_alone(pair, models, embedded, scenes):
    names, y = np.unique(embedded[1][:40], return_inverse=True)
    clip = models[0].text_tower
    words = clip.encode(["circle", "cloud", "house"])
    anchors = clip.encode(list(names))
    recipe = PromptRecipe(positive_steps=3, negative_steps=3)
    expected = train_prompts(clip, names, embedded[0][:40], y, recipe, anchors=anchors, words=words)
    Z = np.concatenate([embedded[0][:40], np.ones((40, 64), np.float32) / 8], axis=1) / np.float32(ROOT)
    tower = pair.text_tower
    wide = [tower.encode(list(names)), tower.encode(["circle", "cloud", "house"])]
    ours = train_prompts(tower, names, Z, y, recipe, anchors=wide[0], words=wide[1])
    np.testing.assert_allclose(ours.positive_context, expected.positive_context, atol=1e-5)
    np.testing.assert_allclose(ours.negative_context, expected.negative_context, atol=1e-5)


def test_of_one_model_nothing_is_taken_away(models, embedded):
    tower, Z, nothing = of_text_alone(models[0].text_tower, embedded[0], None)
    assert tower is models[0].text_tower
    assert Z is embedded[0]
    assert nothing is None


def test_it_is_told_from_its_parts(pair, models, second, tmp_path):
    assert load_backbone(f"skneg-tiny+{second}", device="cpu") is pair
    another = load_backbone(f"skneg-tiny+timm:local-dir:{saved(tmp_path / 'b', seed=1)}", device="cpu")
    backbones = [pair, another, *models]
    assert len({backbone.weights_sha256 for backbone in backbones}) == 4
    assert len({encoding_of(backbone) for backbone in backbones}) == 4
    assert pair.text_checksum != models[0].text_checksum  # words are kept by it, and are longer
    assert pair.settings["activation"] == models[0].settings["activation"]
    assert pair.settings["second"] == models[1].settings


def test_two_models_of_timm_read_nothing(second):
    both = load_backbone(f"{second}+{second}", device="cpu")
    assert embedding_width(both.name) == 128
    with pytest.raises(BackboneError, match="reads no class names"):
        both.text_tower.encode(["a"])


def test_bad_images_are_named_once(pair, scenes):
    images = as_image_sequence([scenes[0][0], b"broken", scenes[0][1], "gone.png"])
    with pytest.raises(ImageError, match="^2 images") as caught:
        pair.image_tower.encode(images)
    assert [error.index for error in caught.value.errors] == [1, 3]
    assert [error.index for error in pair.image_tower.unreadable(images)] == [1, 3]
    with pytest.warns(InputWarning, match="2 skipped images") as told:
        Z = pair.image_tower.encode(images, on_error="skip")
    assert len(told) == 1
    assert np.isnan(Z).all(axis=1).tolist() == [False, True, False, True]


def test_what_two_models_do_not_have_is_refused(pair, scenes):
    images = as_image_sequence(scenes[0][:2])
    for use in (
        lambda: pair.image_tower.encode(images, local=True),
        lambda: pair.image_tower.pixels(images, [0]),
        lambda: pair.image_tower._network,
    ):
        with pytest.raises(BackboneError, match="two models do not have .*take one of them"):
            use()
    with pytest.raises(BackboneError, match="goes with one model"):
        copy_text_tower(pair.text_tower)


def test_a_part_that_cannot_be_had_is_named():
    with pytest.raises(BackboneError, match="'ViT-B-61'"):
        load_backbone("ViT-B-61+timm:test_vit")
    with pytest.raises(BackboneError, match="'test_vit0'"):
        load_backbone("skneg-tiny+timm:test_vit0")


def test_the_hooks_of_both_text_towers_do_not_disturb_each_other(pair, models):
    tower, clip = pair.text_tower, models[0].text_tower
    tokens, vectors = tower.tokenize(["x x star"]), torch.zeros(2, tower.width)
    plain = clip.encode_tokens(tokens)
    with tower.replaced_vectors(vectors, 1):
        replaced = tower.encode_tokens(tokens)[:, :128]
    with clip.replaced_vectors(vectors, 1):
        expected = clip.encode_tokens(tokens)
    assert torch.equal(replaced, expected)
    assert not torch.equal(replaced, plain)
    assert torch.equal(clip.encode_tokens(tokens), plain)
