import numpy as np
import pytest
from scipy import special

from skneg import _softmax
from skneg.errors import InputError


@pytest.mark.parametrize("name", ["log_softmax", "logsumexp", "softmax"])
def test_arrays_get_what_scipy_gives(name):
    x = np.random.default_rng(0).normal(size=(3, 4, 2))
    for axis in (1, 2):
        expected = getattr(special, name)(x, axis=axis)
        np.testing.assert_allclose(getattr(_softmax, name)(x, axis=axis), expected, rtol=1e-14)


@pytest.mark.parametrize("temperature", [1.0, 0.01])
def test_float32_costs_less_than_its_own_rounding(temperature):
    cosines = np.random.default_rng(0).uniform(0, 0.4, size=(50, 5000)).astype(np.float32)
    exact = special.logsumexp(cosines.astype(np.float64) / temperature, axis=1)
    found = _softmax.logsumexp(cosines, axis=1, temperature=temperature)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, exact, atol=2e-7)


def test_minus_infinity_counts_for_nothing():
    x = np.array([[-np.inf, 0.5], [-np.inf, -np.inf]], dtype=np.float32)
    assert _softmax.logsumexp(x, axis=1).tolist() == [0.5, -np.inf]


def test_what_was_given_stays():
    x = np.zeros((2, 3), dtype=np.float32)
    _softmax.logsumexp(x, axis=1, temperature=0.1)
    assert (x == 0).all()


@pytest.mark.parametrize("temperature", [0, -1.0, None, float("nan")])
def test_a_temperature_that_is_none_is_refused(temperature):
    for function in (lambda: _softmax.scaled([1.0], temperature), lambda: lse(temperature)):
        with pytest.raises(InputError, match="temperature must be positive"):
            function()


def lse(temperature):
    return _softmax.logsumexp(np.zeros((1, 2)), axis=1, temperature=temperature)


@pytest.mark.parametrize("name", ["log_softmax", "logsumexp", "softmax"])
def test_a_type_of_ours_has_its_own(name):
    class Ours:
        pass

    getattr(_softmax, name).register(Ours, lambda x, axis: (x, axis))
    ours = Ours()
    assert getattr(_softmax, name)(ours, axis=1) == (ours, 1)
