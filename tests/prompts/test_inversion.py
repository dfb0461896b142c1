"""Texts that lie near images."""

import numpy as np
import pytest

from skneg.backbone import load_backbone
from skneg.prompts import invert_images
from skneg.prompts.encoding import embed_behind

from ..conftest import random_unit


@pytest.fixture(scope="module")
def tower():
    return load_backbone("skneg-tiny").text_tower


def test_without_steps_it_is_the_text_of_the_word(tower):
    images = random_unit(np.random.default_rng(0), 2, tower.embed_dim)
    found = invert_images(tower, images, ["star", "heart"], images[:0], steps=0)
    # "star" and "heart" are one token each.
    expected = embed_behind(tower, "a photo of a", ["star.", "heart."])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_texts_come_nearer_to_their_images_and_keep_away_from_others(tower):
    rng = np.random.default_rng(0)
    images = embed_behind(tower, "a photo of a", ["fish", "car"]) + 0.05 * rng.normal(
        size=(2, tower.embed_dim)
    )
    images = (images / np.linalg.norm(images, axis=1, keepdims=True)).astype(np.float32)
    before = invert_images(tower, images, ["star", "star"], images[:0], steps=0)
    after = invert_images(tower, images, ["star", "star"], images[:0], steps=15)
    assert ((after * images).sum(axis=1) > (before * images).sum(axis=1) + 0.02).all()
    np.testing.assert_allclose(np.linalg.norm(after, axis=1), 1, rtol=1e-5)
    away = invert_images(tower, images, ["star", "star"], images[:1], steps=15, away_weight=5.0)
    assert (away @ images[0] < after @ images[0]).all()


def test_images_do_not_see_each_other(tower):
    images = random_unit(np.random.default_rng(1), 3, tower.embed_dim)
    together = invert_images(tower, images, ["star", "fish", "car"], images[:1], steps=4)
    alone = invert_images(tower, images[1:2], ["fish"], images[:1], steps=4)
    np.testing.assert_allclose(together[1], alone[0], atol=1e-4)
