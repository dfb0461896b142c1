import numpy as np
import pytest
from scipy import special

from skneg import _softmax


@pytest.mark.parametrize("name", ["log_softmax", "logsumexp", "softmax"])
def test_arrays_go_to_scipy(name):
    x = np.random.default_rng(0).normal(size=(3, 4))
    assert (getattr(_softmax, name)(x, axis=1) == getattr(special, name)(x, axis=1)).all()


@pytest.mark.parametrize("name", ["log_softmax", "logsumexp", "softmax"])
def test_a_type_of_ours_has_its_own(name):
    class Ours:
        pass

    getattr(_softmax, name).register(Ours, lambda x, axis: (x, axis))
    ours = Ours()
    assert getattr(_softmax, name)(ours, axis=1) == (ours, 1)
