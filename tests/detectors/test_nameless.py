import numpy as np
import pytest

from skneg import LocalPromptDetector
from skneg.detectors._nameless import most_and_least_like
from skneg.errors import InputError
from skneg.prompts import CoOpRecipe

from ..conftest import random_unit

RNG = np.random.default_rng(0)


def test_the_parts_most_and_least_like_a_text():
    parts, texts = random_unit(RNG, 5, 7, 8), random_unit(RNG, 5, 8)
    for image, text, (like, unlike) in zip(parts, texts, most_and_least_like(parts, texts, 3), strict=True):
        order = np.argsort(-(image @ text))
        np.testing.assert_array_equal(like, image[order[:3]])
        np.testing.assert_array_equal(unlike, image[order[-3:]])


def test_one_class_is_refused_with_the_reason():
    detector = LocalPromptDetector(model="skneg-tiny", recipe=CoOpRecipe(n_epochs=1, n_ctx=2), n_negative=1)
    Z = random_unit(RNG, 4, 5, 128)
    with pytest.raises(InputError, match="images of at least 2 classes"):
        detector.fit(Z, np.zeros(4, dtype=int), class_names=["star", "heart"])
