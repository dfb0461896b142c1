from functools import partial

import numpy as np
import pytest

from skneg import GLMCMDetector, LoCoOpDetector, TextBank
from skneg.detectors._patches import global_local_mcm, need_patches
from skneg.errors import InputError

from ..conftest import random_unit

RNG = np.random.default_rng(0)


unit = partial(random_unit, RNG)


TEXTS, Z = unit(4, 16), unit(30, 1 + 9, 16)
BANK = TextBank.from_positives(TEXTS)


def best_share(rows, temperature):
    """The largest softmax share of any class at any of the rows."""
    masses = np.exp(np.asarray(rows, dtype=np.float64) @ TEXTS.T / temperature)
    return (masses / masses.sum(axis=1, keepdims=True)).max()


@pytest.mark.parametrize("temperature", [0.05, 1.0])
@pytest.mark.parametrize("weight", [0, 0.5, 2.0])
def test_the_score_adds_the_best_patch_to_the_whole_image(temperature, weight):
    expected = [best_share(z[:1], temperature) + weight * best_share(z[1:], temperature) for z in Z]
    got = global_local_mcm(BANK, Z, temperature, weight)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_any_number_of_patches_in_any_order():
    scores = global_local_mcm(BANK, Z, 1.0, 1.0)
    np.testing.assert_allclose(global_local_mcm(BANK, Z[:, [0, *range(9, 0, -1)]], 1.0, 1.0), scores)
    # Fewer patches can only lower the best one.
    fewer = global_local_mcm(BANK, Z[:, :3], 1.0, 1.0)
    assert (fewer <= scores).all()
    assert (fewer < scores).any()
    # The whole image is no patch: with another in its place the scores change.
    assert (global_local_mcm(BANK, Z[:, ::-1], 1.0, 1.0) != scores).any()


@pytest.mark.parametrize("kind", [GLMCMDetector, LoCoOpDetector])
def test_whole_images_alone_are_refused(kind):
    need_patches(kind(), Z)
    need_patches(kind(), ["a.png", "b.png"])
    with pytest.raises(InputError, match=f"{kind.__name__} looks at image patches.*local=True"):
        need_patches(kind(), Z[:, 0])
