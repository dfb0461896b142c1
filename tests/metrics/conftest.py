"""Scores of known images and of two sets of unknown ones."""

import numpy as np
import pytest


@pytest.fixture
def sets():
    rng = np.random.default_rng(0)
    near, far = rng.normal(0.5, 1, 80).round(1), rng.normal(-1, 1, 50).round(1)
    return rng.normal(1, 1, 100).round(1), {"near": near, "far": far}
