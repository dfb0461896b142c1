import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skneg.errors import InputError
from skneg.scores import class_posterior, mcm, negprompt

TEMPERATURES = [1e-3, 0.01, 1.0, 100.0]


@pytest.fixture
def cosines():
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (50, 7)), rng.uniform(-1, 1, (50, 12))


@pytest.mark.parametrize("temperature", [0.01, 1.0, 100.0])
def test_mcm_is_the_largest_softmax_share(cosines, temperature):
    shares = np.exp(cosines[0] / temperature)
    expected = shares.max(axis=1) / shares.sum(axis=1)
    np.testing.assert_allclose(np.exp(mcm(cosines[0], temperature)), expected, rtol=1e-9)


@pytest.mark.parametrize("temperature", [0.01, 1.0, 100.0])
def test_negprompt_is_equation_3(cosines, temperature):
    positive, negative = (np.exp(c / temperature) for c in cosines)
    expected = positive.max(axis=1) / (positive.sum(axis=1) + negative.sum(axis=1))
    np.testing.assert_allclose(np.exp(negprompt(*cosines, temperature)), expected, rtol=1e-9)


def test_negprompt_without_negatives_is_mcm(cosines):
    np.testing.assert_array_equal(negprompt(cosines[0], cosines[1][:, :0]), mcm(cosines[0]))


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_no_overflow_and_no_lost_ranking_in_float32(temperature):
    top = np.linspace(0.2, 0.4, 2000, dtype=np.float32)
    positive = np.stack([top, np.full_like(top, 0.1)], axis=1)
    negative = np.full((len(top), 3), 0.3, dtype=np.float32)
    scores = negprompt(positive, negative, temperature)
    assert np.isfinite(scores).all()
    assert (np.diff(scores) > 0).all()


@given(st.integers(0, 2**32 - 1), st.floats(0.005, 50))
def test_raising_a_negative_never_raises_the_score(seed, temperature):
    rng = np.random.default_rng(seed)
    positive, negative = rng.uniform(-1, 1, (4, 3)), rng.uniform(-1, 1, (4, 5))
    higher = negative + np.eye(4, 5) * 0.1
    assert (negprompt(positive, higher, temperature) <= negprompt(positive, negative, temperature)).all()


def test_class_posterior_rows_sum_to_one(cosines):
    posterior = class_posterior(cosines[0], 0.001)
    np.testing.assert_allclose(posterior.sum(axis=1), 1)
    np.testing.assert_array_equal(posterior.argmax(1), cosines[0].argmax(1))


@pytest.mark.parametrize("temperature", [0, -1, np.nan])
def test_temperature_must_be_positive(temperature):
    with pytest.raises(InputError, match="temperature"):
        mcm(np.zeros((1, 2)), temperature)
