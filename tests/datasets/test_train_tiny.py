"""How the shipped model is made, on a few images."""

import logging

import numpy as np
import open_clip
import pytest
import torch
from scipy.special import log_softmax

from skneg.backbone import load_backbone
from skneg.backbone._tiny import verified_tiny_folder
from skneg.datasets import SHAPE_NAMES, make_scenes, render_scenes, train_tiny
from skneg.datasets._scenes import Scene
from skneg.images import as_image_sequence


def tokenizer():
    return open_clip.SimpleTokenizer(context_length=32)


def test_the_loss_spreads_an_image_over_its_true_captions_and_a_caption_over_its_images():
    rng = np.random.default_rng(0)
    image, text = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in rng.normal(size=(2, 4, 6)))
    text = text[:3]
    true = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1]], dtype=bool)
    logits = 7 * image @ text.T
    by_image = [-log_softmax(logits[i])[true[i]].mean() for i in range(4)]
    by_text = [-log_softmax(logits[:, j])[true[:, j]].mean() for j in range(3)]
    image, text, true = map(torch.from_numpy, (image, text, true))
    got = train_tiny.contrastive_loss(image, text, torch.tensor(7.0), true)
    assert float(got) == pytest.approx((np.mean(by_image) + np.mean(by_text)) / 2)


def test_captions_that_are_true_of_other_images_count_as_theirs():
    scenes = [Scene("star", "red", "plain", "dotted"), Scene("key", "red", "plain", "plain")]
    texts, true = train_tiny._distinct(["a red thing", "a key", "a red thing"], [*scenes, scenes[0]])
    assert texts == ["a key", "a red thing"]
    assert true.tolist() == [[False, True], [True, True], [False, True]]


def test_training_prepares_images_as_the_shipped_model_does():
    X, _ = make_scenes(3, random_state=0)
    tower = load_backbone("skneg-tiny").image_tower
    expected = tower.pixels(as_image_sequence(X), range(3))
    np.testing.assert_allclose(train_tiny._to_tensor(X).numpy(), expected, atol=1e-6)


def test_zero_shot_accuracy_is_the_share_of_shapes_that_are_nearest_to_their_name():
    backbone = load_backbone("skneg-tiny")
    got = train_tiny.zero_shot_accuracy(backbone.text_tower._network, tokenizer(), n_samples=76)
    images, scenes, _ = render_scenes(76, random_state=train_tiny._VALIDATION_SEED)
    names = backbone.text_tower.encode([f"a photo of a {name}" for name in SHAPE_NAMES])
    nearest = (backbone.image_tower.encode(as_image_sequence(images)) @ names.T).argmax(axis=1)
    right = [SHAPE_NAMES[best] == scene.shape for best, scene in zip(nearest, scenes, strict=True)]
    assert got == pytest.approx(np.mean(right))
    assert got > 0.8  # of 38 shapes


def test_a_few_steps_lower_the_loss_and_the_seed_decides(monkeypatch, caplog):
    monkeypatch.setattr(train_tiny, "zero_shot_accuracy", lambda model, tokenizer: 0.25)  # it takes seconds
    caplog.set_level(logging.INFO, logger=train_tiny.__name__)

    def losses(n_epochs, seed):
        caplog.clear()
        model, accuracy = train_tiny.train(n_images=96, n_epochs=n_epochs, batch_size=32, seed=seed)
        assert accuracy == 0.25
        assert not model.training
        return [record.args[1] for record in caplog.records if record.msg.startswith("epoch")], model

    values, _ = losses(5, seed=0)
    assert len(values) == 5
    assert values[-1] < values[0] - 0.2
    weights = [losses(1, seed)[1].state_dict() for seed in (0, 0, 1)]
    assert all(torch.equal(weights[0][name], values) for name, values in weights[1].items())
    assert not torch.equal(weights[0]["visual.conv1.weight"], weights[2]["visual.conv1.weight"])


def test_token_embeddings_biases_and_scales_do_not_decay():
    network = load_backbone("skneg-tiny").text_tower._network
    decayed, rest = train_tiny._parameter_groups(network, 0.05)
    names = {id(values): name for name, values in network.named_parameters()}
    assert (decayed["weight_decay"], rest["weight_decay"]) == (0.05, 0.0)
    assert len(decayed["params"]) + len(rest["params"]) == len(names)
    kept = {names[id(values)] for values in rest["params"]}
    assert {"token_embedding.weight", "positional_embedding", "logit_scale", "ln_final.weight"} <= kept
    assert not any(name.endswith("mlp.c_fc.weight") for name in kept)


def test_a_saved_model_is_a_folder_that_loads_and_matches_its_checksum(tmp_path):
    torch.manual_seed(0)
    model = open_clip.CLIP(**train_tiny.MODEL_CFG).eval()
    digest = train_tiny.save(model, tmp_path / "new" / "model")
    folder = verified_tiny_folder(tmp_path / "new" / "model")
    assert (folder / "SHA256SUMS").read_text().split() == [digest, "open_clip_model.safetensors"]
    with torch.no_grad():
        expected = model.encode_text(tokenizer()(["a star", "a key"]), normalize=True).numpy()
    loaded = load_backbone(f"local-dir:{folder}").text_tower.encode(["a star", "a key"])
    np.testing.assert_allclose(loaded, expected, atol=5e-3)  # the weights are stored as float16
    assert np.abs(loaded[0] - loaded[1]).max() > 0.05
