import numpy as np
import pytest

from skneg.datasets import COLORS, SHAPE_NAMES, TEXTURES, make_far_ood, make_scenes, render_scenes
from skneg.datasets._scenes import true_captions
from skneg.errors import InputError


def test_there_is_enough_to_draw():
    assert len(SHAPE_NAMES) >= 24
    assert len(COLORS) >= 10
    assert len(TEXTURES) >= 6


def test_same_seed_same_images():
    first, second = (make_scenes(20, random_state=3, return_captions=True) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (make_scenes(20, random_state=4)[0] != first[0]).any()
    np.testing.assert_array_equal(make_far_ood(9, random_state=3), make_far_ood(9, random_state=3))


def test_shapes_are_balanced_and_captions_true():
    X, scenes, captions = render_scenes(3 * len(SHAPE_NAMES), random_state=0)
    assert X.dtype == np.uint8
    assert X.shape == (len(scenes), 64, 64, 3)
    names, counts = np.unique([scene.shape for scene in scenes], return_counts=True)
    assert set(names) == set(SHAPE_NAMES)
    assert set(counts) == {3}
    assert all(caption in true_captions(scene) for scene, caption in zip(scenes, captions, strict=True))


@pytest.mark.parametrize("shape", SHAPE_NAMES)
def test_every_shape_is_visible_and_inside(shape):
    from skneg.datasets._scenes import _mask

    for seed in range(5):
        coverage = _mask(shape, 64, np.random.default_rng(seed))
        assert 0.01 < coverage.mean() < 0.7


def test_attributes_restrict_the_scenes():
    _, scenes, _ = render_scenes(
        30, shapes=["star"], colors=["red"], textures=["dotted"], backgrounds=["plain"], random_state=0
    )
    assert set(scenes) == {("star", "red", "dotted", "plain")}


@pytest.mark.parametrize("kind", ["textures", "noise", "photographs"])
def test_far_images_vary(kind):
    X = make_far_ood(6, kind=kind, image_size=32, random_state=0)
    assert X.shape == (6, 32, 32, 3)
    assert len(np.unique(X.reshape(6, -1), axis=0)) == 6


@pytest.mark.parametrize(
    "bad",
    [
        {"n_samples": 0},
        {"n_samples": 2.5},
        {"shapes": ["circle", "dodecahedron"]},
        {"colors": []},
        {"image_size": 4},
        {"noise": 2},
    ],
)
def test_bad_parameters_are_named(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        make_scenes(**bad)
