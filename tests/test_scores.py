import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skneg import scores
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


def softmax(x):
    shares = np.exp(x - x.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)


class TestAgainstPlainNumpy:
    """Each score against the formula as its paper prints it."""

    @pytest.mark.parametrize("temperature", [0.01, 1.0, 100.0])
    def test_all(self, cosines, temperature):
        z, other = cosines
        exp_z, exp_other = np.exp(z / temperature), np.exp(other / temperature)
        no = other[:, :7]
        plain = {
            scores.max_logit: z.max(1),
            scores.energy: temperature * np.log(exp_z.sum(1)),
            scores.eoe: softmax(np.hstack([z, other]) / temperature)[:, :7].max(1)
            - 0.25 * softmax(np.hstack([z, other]) / temperature)[:, 7:].max(1),
            scores.neglabel: np.log(exp_z.sum(1) / (exp_z.sum(1) + exp_other.sum(1))),
            scores.lsn: softmax(z / temperature).max(1) - softmax(no / temperature).min(1),
            scores.clipn_ctw: np.log(
                [1 / (1 + np.exp((no[i, c] - z[i, c]) / temperature)) for i, c in enumerate(z.argmax(1))]
            ),
            scores.clipn_atd: np.log(
                (softmax(z / temperature) / (1 + np.exp((no - z) / temperature))).sum(1)
            ),
        }
        second = {scores.eoe: other, scores.neglabel: other, scores.lsn: no, scores.clipn_ctw: no,
                  scores.clipn_atd: no}  # fmt: skip
        for score, expected in plain.items():
            inputs = (z, second[score]) if score in second else (z,)
            options = {} if score is scores.max_logit else {"temperature": temperature}
            np.testing.assert_allclose(score(*inputs, **options), expected, rtol=1e-6, atol=1e-6)

    def test_neglabel_averages_over_groups_and_leaves_the_rest_out(self, cosines):
        z, other = cosines
        mass, negatives = np.exp(z / 0.01).sum(1), np.exp(other / 0.01)
        groups = [mass / (mass + negatives[:, i : i + 5].sum(1)) for i in (0, 5)]
        expected = np.log(np.mean(groups, axis=0))
        np.testing.assert_allclose(
            scores.neglabel(z, other[:, :11], 0.01, n_groups=2), expected, rtol=1e-6, atol=1e-9
        )

    @pytest.mark.parametrize("n_groups", [1, 2, 5])
    @pytest.mark.parametrize("temperature", [0.1, 1.0])
    def test_interneg_compares_the_mean_mass_of_a_class_with_that_of_a_negative(
        self, cosines, temperature, n_groups
    ):
        z, other = cosines
        known, size = np.exp(z / temperature).mean(1), 11 // n_groups
        masses = [np.exp(other[:, g * size : (g + 1) * size] / temperature).mean(1) for g in range(n_groups)]
        expected = np.log(np.mean([known / (known + mass) for mass in masses], axis=0))
        np.testing.assert_allclose(scores.interneg(z, other[:, :11], temperature, n_groups), expected)

    @pytest.mark.parametrize("temperature", TEMPERATURES)
    def test_negative_odds_is_a_difference_of_energies(self, cosines, temperature):
        z, other = cosines
        words, none = other[:, :3], other[:, :0]

        def e(c):
            return scores.energy(c, temperature)

        for args, expected in (
            ((z, other, words, temperature, 0.3), e(z) - e(words) - 0.3 * e(other)),
            ((z, none, words, temperature, 0.3), e(z) - e(words)),
            ((z, other, none, temperature, 0.3), e(z) - 0.3 * e(other)),
            ((z, none, none, temperature, 0.3), e(z)),
        ):
            np.testing.assert_allclose(scores.negative_odds(*args), expected, atol=1e-12)

    def test_local_mcm_is_the_best_patch_of_any_class(self, cosines):
        local = cosines[0].reshape(10, 5, 7)
        np.testing.assert_allclose(scores.local_mcm(local, 0.5), softmax(local / 0.5).max(axis=(1, 2)))

    @pytest.mark.parametrize("temperature", TEMPERATURES)
    def test_extreme_temperatures_stay_finite_in_float32(self, cosines, temperature):
        z, other = (c.astype(np.float32) for c in cosines)
        for score in (scores.eoe, scores.neglabel, scores.clipn_ctw, scores.clipn_atd, scores.lsn):
            assert np.isfinite(score(z, other[:, :7], temperature)).all(), score
        assert np.isfinite(scores.energy(z, temperature)).all()


DEFAULTS = {
    scores.mcm: (1.0,), scores.negprompt: (1.0,), scores.energy: (0.01,), scores.eoe: (1.0, 0.25),
    scores.neglabel: (0.01, 1), scores.interneg: (0.01, 5), scores.local_mcm: (1.0,), scores.lsn: (0.01,),
    scores.clipn_ctw: (0.01,), scores.clipn_atd: (0.01,), scores.negative_odds: (0.01, 0.1),
}  # fmt: skip


class TestEvery:
    @pytest.fixture(params=DEFAULTS, ids=lambda score: score.__name__)
    def call(self, request, cosines):
        """A score, what it is given first and its parameters of their own."""
        z, other = cosines
        first = {scores.local_mcm: (z.reshape(10, 5, 7),), scores.negative_odds: (z, other, other[:, ::2])}
        single = request.param in (scores.mcm, scores.energy)
        return (
            request.param,
            first.get(request.param, (z,) if single else (z, other[:, :7])),
            DEFAULTS[request.param],
        )

    def test_defaults_are_those_of_its_docstring(self, call):
        score, given, defaults = call
        np.testing.assert_array_equal(score(*given), score(*given, *defaults))
        for i, value in enumerate(defaults):
            changed = [*defaults]
            changed[i] = 3 if type(value) is int else value * 2
            assert (score(*given) != score(*given, *changed)).any()

    def test_lists_are_taken_and_sums_are_in_float64(self, call):
        score, given, _ = call
        expected = score(*given, 0.1)
        assert expected.dtype == np.float64
        np.testing.assert_allclose(score(*(part.tolist() for part in given), 0.1), expected)
        single = score(*(part.astype(np.float32) for part in given), 0.1)
        assert single.dtype == np.float64
        np.testing.assert_allclose(single, expected, rtol=1e-4, atol=1e-5)

    def test_what_it_is_given_stays_as_it_is(self, call):
        score, given, _ = call
        before = [part.copy() for part in given]
        score(*given)
        for part, copy in zip(given, before, strict=True):
            np.testing.assert_array_equal(part, copy)

    @pytest.mark.parametrize("temperature", [0, -1, np.nan])
    def test_the_temperature_must_be_positive(self, call, temperature):
        score, given, _ = call
        with pytest.raises(InputError, match="temperature"):
            score(*given, temperature)


def test_the_largest_cosine_of_lists():
    found = scores.max_logit([[0.1, 0.3], [0.2, -0.5]])
    assert found.tolist() == [0.3, 0.2]
    assert scores.max_logit(np.float32([[0.5]])).dtype == np.float64


@pytest.mark.parametrize("score", [scores.neglabel, scores.interneg])
@pytest.mark.parametrize("n_groups", [0, 4, -1, 1.5])
def test_more_groups_than_negatives_are_refused(score, n_groups):
    assert score(np.ones((2, 1)), np.ones((2, 3)), n_groups=3).shape == (2,)
    with pytest.raises(InputError, match="n_groups"):
        score(np.ones((2, 1)), np.ones((2, 3)), n_groups=n_groups)
