import numpy as np
import pytest
import torch
from PIL import Image

from skneg import NegPromptDetector
from skneg.datasets import make_scenes
from skneg.errors import InputError
from skneg.images import augmented_views

RAMP = np.zeros((3, 30, 40, 3), dtype=np.uint8)
RAMP[..., 0] = np.arange(40) * 6  # red grows to the right, green downwards
RAMP[..., 1] = np.arange(30)[:, None] * 8
RAMP[..., 2] = np.arange(3)[:, None, None] * 100


def test_views_are_crops_of_their_images_every_other_one_mirrored():
    views, labels, groups = augmented_views(list(RAMP), ["a", "b", "c"], n_views=2, random_state=0)
    assert len(views) == 9
    assert labels.tolist() == ["a", "b", "c"] * 3
    assert groups.tolist() == [0, 1, 2] * 3
    for i, view in enumerate(views):
        pixels = np.asarray(view).astype(int)
        assert (pixels[..., 2] == 100 * groups[i]).all()
        steps = np.diff(pixels[..., 0], axis=1)
        assert (steps == (-6 if 3 <= i < 6 else 6)).all()
        assert (np.diff(pixels[..., 1], axis=0) == 8).all()
        area = pixels.shape[0] * pixels.shape[1] / 1200
        assert 0.4 < area <= 1
    for i in range(3):
        np.testing.assert_array_equal(np.asarray(views[i]), RAMP[i])


def test_a_seed_decides_the_crops_and_each_view_stays_what_it_is():
    one, two, other = (augmented_views(list(RAMP), [0, 1, 2], random_state=seed)[0] for seed in (0, 0, 1))
    assert [view.size for view in one] == [view.size for view in two] == [one[i].size for i in range(15)]
    assert [view.size for view in one] != [view.size for view in other]
    assert len({view.size for view in one}) > 5


def test_smallest_images():
    views, _, _ = augmented_views([Image.new("RGB", (1, 1)), Image.new("RGB", (1, 50))], [0, 1], n_views=8)
    assert all(min(view.size) >= 1 and view.size[0] == 1 for view in views)


def test_what_cannot_be_cropped_is_refused():
    with pytest.raises(InputError, match="embeddings"):
        augmented_views(np.zeros((2, 4), dtype=np.float32), [0, 1])
    with pytest.raises(InputError, match="preprocessed"):
        augmented_views(torch.zeros(2, 3, 8, 8), [0, 1])[0][2]
    with pytest.raises(InputError, match=r"expected \(3,\)"):
        augmented_views(list(RAMP), [0, 1])
    with pytest.raises(InputError, match="n_views"):
        augmented_views(list(RAMP), [0, 1, 2], n_views=0)


def test_a_detector_learns_from_views():
    X, y = make_scenes(12, shapes=["star", "heart"], random_state=0)
    views, labels, groups = augmented_views(X, y, random_state=0)
    detector = NegPromptDetector(model="skneg-tiny", evidence="images", contamination=0.1, random_state=0)
    detector.fit(views, labels, groups=groups)
    assert detector.predict(X).shape == (12,)
    assert detector.joint_score_.images.counts.sum() == 60


def test_the_area_of_crops_can_be_set():
    X, y = np.zeros((20, 40, 40, 3), dtype=np.uint8), np.zeros(20)
    views = augmented_views(X, y, 1, 0, area=(0.1, 0.2))[0]
    areas = [views[i].size[0] * views[i].size[1] / 1600 for i in range(20, 40)]
    assert min(areas) > 0.07
    assert max(areas) < 0.24


@pytest.mark.parametrize("area", [0.5, (0, 1), (0.5, 0.2), (0.5, 1.5), (0.5,)])
def test_areas_that_are_no_shares_are_refused(area):
    with pytest.raises(InputError, match="area"):
        augmented_views(np.zeros((2, 8, 8, 3), dtype=np.uint8), [0, 1], area=area)
