"""A detector, and images in files whose names are markup."""

import pytest
from PIL import Image

from skneg import NegPromptDetector, PromptRecipe
from skneg.datasets import make_scenes

from ..conftest import KNOWN, STRANGE


def saved(folder, X):
    folder.mkdir()
    paths = [folder / f"<i>{number}&.png" for number in range(len(X))]
    for path, pixels in zip(paths, X, strict=True):
        Image.fromarray(pixels).save(path)
    return paths


@pytest.fixture(scope="session")
def detector(scenes):
    """Fitted on the scenes, which are therefore no new images."""
    recipe = PromptRecipe(positive_steps=3, negative_steps=5)
    return NegPromptDetector(model="skneg-tiny", recipe=recipe, random_state=0).fit(*scenes)


@pytest.fixture(scope="session")
def known(tmp_path_factory):
    """Paths and labels of new images of the known classes; three labels are wrong."""
    X, y = make_scenes(60, shapes=KNOWN, random_state=7)
    y = y.copy()
    for row in (5, 17, 30):
        y[row] = KNOWN[(KNOWN.index(y[row]) + 1) % len(KNOWN)]
    return saved(tmp_path_factory.mktemp("known") / "known", X), y


@pytest.fixture(scope="session")
def unknown(tmp_path_factory):
    return saved(
        tmp_path_factory.mktemp("unknown") / "unknown", make_scenes(40, shapes=STRANGE, random_state=8)[0]
    )
