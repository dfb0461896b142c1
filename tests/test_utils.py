"""Small helpers: unit rows, checks of parameters, where warnings point."""

import warnings
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral, Real

import numpy as np
import pytest

from skneg import KNNDetector, _utils
from skneg._utils import (
    as_float,
    by_blocks,
    check_at_least,
    check_between,
    check_kind,
    check_seed,
    check_switch,
    check_templates,
    did_you_mean,
    finite,
    float_array,
    literal,
    refuse_masked,
    require,
    unheard,
    unit_rows,
    warn,
)
from skneg.errors import InputError, InputTypeError, MissingDependencyError


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_rows_of_any_scale_become_unit_vectors(scale):
    X = np.random.default_rng(0).normal(size=(20, 7))
    expected = X / np.linalg.norm(X, axis=1, keepdims=True)
    np.testing.assert_allclose(unit_rows(X * scale), expected, atol=1e-6)


def test_unit_rows_keep_their_bits():
    X = unit_rows(np.random.default_rng(1).normal(size=(50, 33)))
    np.testing.assert_array_equal(unit_rows(X), X)
    np.testing.assert_array_equal(unit_rows(np.asfortranarray(X)), X)


@pytest.mark.parametrize(("value", "message"), [(np.inf, "NaN or infinity"), (0.0, "all zeros")])
def test_the_row_that_has_no_direction_is_named(value, message):
    X = np.ones((4, 2, 3))
    X[2, 1] = value
    with pytest.raises(InputError, match=f"Input Z contains .*{message}, first in row 2"):
        unit_rows(X, "Z")


@pytest.mark.parametrize("value", [True, 0, 1.5, "2", None, np.nan])
def test_an_integer_of_at_least_one(value):
    with pytest.raises(InputError, match="k must be an integer of at least 1"):
        check_at_least("k", value, 1, Integral)
    check_at_least("k", np.int64(1), 1, Integral)


@pytest.mark.parametrize("value", [0, 1, True, "0.5", np.nan])
def test_a_share_lies_strictly_between_its_bounds(value):
    with pytest.raises(InputError, match="share must lie between 0 and 1"):
        check_between("share", value, 0, 1)
    check_between("share", np.float32(0.5), 0, 1)


@pytest.mark.parametrize("templates", ["a photo", [], ["{} {}"], [3]])
def test_templates_have_one_place_for_the_name(templates):
    with pytest.raises(InputError, match="templates"):
        check_templates("templates", templates)


def test_seeds_and_kinds_are_typed():
    with pytest.raises(InputError, match="random_state='x'"):
        check_seed("x")
    with pytest.raises(InputTypeError, match="recipe must be a int, got 'x'"):
        check_kind("recipe", "x", int)


def test_near_names_are_proposed():
    assert did_you_mean("MCMDetectr", ["MCMDetector", "KNNDetector"]).startswith(
        " Did you mean 'MCMDetector'"
    )
    assert did_you_mean("zzz", ["MCMDetector"]) == ""


def test_a_missing_package_says_how_to_get_it():
    with pytest.raises(MissingDependencyError, match=r"plots needs no_such_package.*pip install skneg\[plot"):
        require("no_such_package", "plots")


def test_warnings_point_at_the_line_that_called_skneg(embedded):
    X, y = embedded
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        KNNDetector(random_state=0).fit(X[:12], y[:12])
    assert {warning.filename for warning in caught} == {__file__}


def test_literals_or_text():
    assert [literal(text) for text in ("1", "None", "[1, 2]", "nouns", "1 +", "'a'")] == [
        1, None, [1, 2], "nouns", "1 +", "a",
    ]  # fmt: skip


class TestFloatArray:
    def test_numbers_of_all_kinds_of_holders(self):
        import torch

        for value, dtype in (
            ([[1, 2]], np.float64),
            (np.ones((1, 2), np.float16), np.float32),
            (np.ones((1, 2), np.longdouble), np.float64),
            (torch.ones(1, 2, dtype=torch.bfloat16, requires_grad=True), np.float32),
            (np.ma.ones((1, 2), dtype=np.float32), np.float32),
        ):
            array = float_array(value)
            assert type(array) is np.ndarray
            assert array.dtype == dtype
            assert array.shape == (1, 2)

    def test_what_would_lose_something_is_none(self):
        import torch

        masked = np.ma.array([1.0, 2.0], mask=[True, False])
        for value in ([[1], [1, 2]], ["a"], [1j], masked, torch.ones(2, device="meta"), None, {1}, [True]):
            assert float_array(value) is None


def test_masked_values_are_refused_and_unmasked_arrays_are_not():
    refuse_masked("X", np.ma.array([1.0, 2.0]))
    refuse_masked("X", [1.0])
    with pytest.raises(InputError, match="^y has masked values"):
        refuse_masked("y", np.ma.array([1.0, 2.0], mask=[True, False]))


def test_scores_that_are_not_finite_are_refused():
    for fine in (np.array([1.0, -1e308]), np.array(["nan"]), np.array([], dtype=float)):
        assert finite(fine) is fine
    for value in (np.nan, np.inf, -np.inf):
        with pytest.raises(InputError, match="score_temperature"):
            finite(np.array([0.0, value]))


def test_numbers_as_floats():
    assert [as_float(value) for value in (1, np.float16(0.5), True)] == [1, 0.5, 1]
    assert all(np.isnan(as_float(value)) for value in (10**400, "1", None, [1.0]))


def test_integers_that_no_machine_counts_to_are_refused():
    check_at_least("n", 2**62, 1, Integral)
    for value, kind in (
        (10**400, Integral),
        (np.inf, Real),
        (10**400, Real),
        (np.nan, Real),
        (True, Integral),
    ):
        with pytest.raises(InputError, match="^n must be"):
            check_at_least("n", value, 1, kind)


@pytest.mark.parametrize("value", [None, "no", 0.5, np.ones(2), []])
def test_switches_are_on_or_off(value):
    for fine in (True, False, np.True_, 2):
        check_switch("verbose", fine)
    with pytest.raises(InputTypeError, match="verbose must be True or False"):
        check_switch("verbose", value)


def test_what_is_unheard_is_so_in_this_thread_alone():
    class Own(UserWarning):
        pass

    def heard(category):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warn("", category)
        return bool(caught)

    with unheard(Own), unheard(FutureWarning):
        assert [heard(category) for category in (Own, FutureWarning, UserWarning)] == [False, False, True]
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(heard, Own).result()
    assert heard(Own)


def test_answers_come_in_the_order_of_the_rows(monkeypatch):
    monkeypatch.setattr(_utils, "_CELLS", 300)  # blocks of _ROWS, 64
    sizes = []

    def answer(rows):
        sizes.append(len(rows))
        return rows.sum(axis=1)

    rows = np.arange(300.0).reshape(150, 2)
    np.testing.assert_array_equal(by_blocks(rows, 100, answer), rows.sum(axis=1))
    assert sizes == [64, 64, 22]
