"""Pictures without a screen, closed after each test; a detector that learned prompts."""

import matplotlib
import pytest

from skneg import CLIPImageEncoder, NegPromptDetector, PromptRecipe

matplotlib.use("Agg")
from matplotlib import pyplot as plt


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="session")
def detector(embedded):
    return NegPromptDetector(
        model="skneg-tiny",
        recipe=PromptRecipe(positive_steps=3, negative_steps=5),
        random_state=0,
        contamination=0.1,
    ).fit(*embedded)


@pytest.fixture(scope="session")
def strange(strange_scenes):
    """Images of unknown shapes as embeddings."""
    return CLIPImageEncoder(model="skneg-tiny").transform(strange_scenes)
