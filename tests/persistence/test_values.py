"""Values as JSON and tensors, and back."""

import json
from collections import OrderedDict, namedtuple
from pathlib import Path

import numpy as np
import pytest

from skneg import PromptRecipe, Words
from skneg._files import pack, unpack
from skneg.bank import TextBank
from skneg.errors import PersistenceError
from skneg.images import CaptionedImages
from skneg.persistence import _values
from skneg.persistence._values import ValueReader, ValueWriter, check_finite
from skneg.prompts import CoOpRecipe

from .conftest import sha256

Pair = namedtuple("Pair", "one other")


def there_and_back(value):
    """A value after a journey through JSON and the bytes of a file; with the tensors that were written."""
    writer = ValueWriter(None)
    node = json.loads(json.dumps(writer.write(value, "value")))
    tensors = unpack(pack({}, writer.tensors), "")[1]
    return ValueReader(tensors, None).read(node), writer.tensors


def test_values_of_all_kinds_survive():
    fortran = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    values = {
        "list": [1, 2.5, "x", None, True, float("inf")], "tuple": (1, (2, [3])), "dict": {0: "a", "0": {}},
        "floats": np.float32([[1.5]]), "fortran": fortran, "same": fortran, "point": np.array(3),
        "none": np.empty((0, 4), np.float16), "words": np.array([["a", "bé"]], dtype="<U9"),
        "objects": np.array(["a", 1], dtype=object), "path": Path("x/y"), "truth": np.array([True, False]),
        "number": np.int64(7), "text": np.str_("z"),
    }  # fmt: skip
    again, _ = there_and_back(values)
    assert list(again) == list(values)
    for key, value in values.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(again[key], value, strict=True)
        else:
            assert again[key] == value
            assert isinstance(value, np.generic | Path) or type(again[key]) is type(value)
    assert again["fortran"].flags.f_contiguous
    assert again["same"] is again["fortran"]
    assert again["words"].dtype == "<U9"


@pytest.mark.parametrize("value", [object(), {1, 2}, np.array([1j]), lambda x: x, b"bytes", [print]])
def test_what_a_file_cannot_hold_is_refused_by_name(value, saved):
    path, detector, _ = saved
    before = sha256(path)
    with pytest.raises(PersistenceError, match="class_names.* a"):
        detector.set_params(class_names=value).save(path)
    assert sha256(path) == before


@pytest.mark.parametrize(
    "settings",
    [PromptRecipe(beta=0.3, n_ctx=2, context_init=None), CoOpRecipe(n_epochs=7), Words(["a", "b"])],
)
def test_settings_come_back_as_what_they_were(settings):
    again, _ = there_and_back(settings)
    assert type(again) is type(settings)
    assert again is not settings
    assert again.get_params() == settings.get_params()


def test_a_random_state_goes_on_where_it_was():
    state = np.random.RandomState(3)
    state.normal(size=5)  # an odd number leaves half a pair of normal numbers behind
    again, _ = there_and_back(state)
    np.testing.assert_array_equal(again.normal(size=4), state.normal(size=4))


def test_who_shares_a_random_state_shares_it_again():
    state = np.random.RandomState(3)
    (one, other, third), _ = there_and_back([state, state, np.random.RandomState(3)])
    assert one is other
    assert third is not one


@pytest.mark.parametrize("numbers", [[1.5, -2], [1.1, -2], [1e300, 3]])
def test_numbers_of_another_byte_order_are_the_same_numbers(numbers):
    swapped = np.array(numbers, dtype=">f8" if numbers[0] > 1e30 else ">f4")
    (again, twin), tensors = there_and_back([swapped, swapped])
    assert all(tensor.dtype.isnative for tensor in tensors.values())
    np.testing.assert_array_equal(again, swapped)
    assert again is twin
    assert len(tensors) == 1


def test_a_mapped_array_comes_back_as_one_in_memory(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(4.0))
    again, _ = there_and_back(np.load(tmp_path / "a.npy", mmap_mode="r"))
    np.testing.assert_array_equal(again, np.arange(4.0))


@pytest.mark.parametrize("kind", "?bhilBHILefd")
def test_scalars_of_numpy_come_back_as_what_they_were(kind):
    value = np.dtype(kind).type(1)
    again, _ = there_and_back({"it": value, "in a list": [value, np.str_("x")]})
    assert type(again["it"]) is type(again["in a list"][0]) is type(value)
    assert type(again["in a list"][1]) is np.str_
    assert again["it"] == value


@pytest.mark.parametrize("sign", [1, -1])
def test_integers_are_written_up_to_a_size(sign):
    largest = sign * (2**4096 - 1)
    assert there_and_back(largest)[0] == largest
    with pytest.raises(PersistenceError, match="an int of 4097 bits"):
        there_and_back(sign * 2**4096)


def test_lists_are_written_up_to_a_depth():
    def nested(depth):
        return [nested(depth - 1)] if depth else 0

    writer = ValueWriter(None)
    assert writer.write(nested(99), "it") == nested(99)
    endless = []
    endless.append(endless)
    for value in (nested(100), endless, {"a": endless}, (endless,)):
        with pytest.raises(PersistenceError, match="100 levels deep"):
            writer.write(value, "it")
    assert writer.write(nested(99), "it") == nested(99)  # what was refused has left nothing behind


def test_arrays_come_back_in_their_order_in_memory():
    whole = np.arange(24.0).reshape(2, 3, 4)
    for array in (
        whole,
        whole.T,
        whole[0],
        whole[0].T,
        whole[:, 0, :].T,
        whole[:, ::2, ::2],
        whole[:1, :, 0],
    ):
        again, tensors = there_and_back(array)
        np.testing.assert_array_equal(again, array, strict=True)
        assert all(tensor.flags.c_contiguous for tensor in tensors.values())
        if array.flags.f_contiguous or array.flags.c_contiguous:
            assert again.strides == array.strides


def test_booleans_and_wide_numbers_of_arrays():
    for array in (np.array([True]), np.arange(3, dtype=np.uint8), np.arange(3, dtype=np.float64)):
        np.testing.assert_array_equal(there_and_back(array)[0], array, strict=True)
    for array in (np.ones(2, dtype=np.longdouble), np.array([b"x"]), np.array(["2020-01-01"], dtype="M8[D]")):
        with pytest.raises(PersistenceError, match="^value is an array of "):
            there_and_back(array)


def test_halved_arrays_are_read_in_their_own_type():
    for kind in (np.float32, np.float64):
        values = np.random.default_rng(0).normal(size=(2, 3)).astype(kind)
        writer = ValueWriter(None)
        node = writer.write_halved(values, "it")
        assert [tensor.dtype for tensor in writer.tensors.values()] == [np.float16]
        again = ValueReader(writer.tensors, None).read(node)
        np.testing.assert_array_equal(again, values.astype(np.float16).astype(kind), strict=True)


@pytest.mark.parametrize(
    "value", [np.random.mtrand._rand, np.random.RandomState(np.random.PCG64(0)), np.random.default_rng(0)]
)
def test_other_states_of_randomness_are_refused(value):
    with pytest.raises(PersistenceError, match=r"set it to None or a seed|RandomState\(seed\)"):
        there_and_back(value)


@pytest.mark.parametrize(
    ("value", "way"),
    [
        (np.ma.array([1.0]), r"x.filled"), (np.ones(2).view(np.recarray), r"np.asarray\(x\)"),
        ({1, 2}, r"sorted\(x\)"),
        (frozenset(), r"sorted\(x\)"), (OrderedDict(), r"dict\(x\)"), (Pair(1, 2), r"list\(x\)"),
        (object(), r"can be saved\.$"),
    ],
)  # fmt: skip
def test_what_is_near_to_something_that_can_be_saved_is_told_the_way(value, way):
    with pytest.raises(PersistenceError, match=f"^value is a {type(value).__name__},.*{way}"):
        there_and_back(value)


def test_places_are_named_in_errors_and_tensors():
    rows = np.arange(3.0)
    values = [{"a": rows}, (rows + 1,), np.random.RandomState(0), TextBank(np.eye(2), np.eye(2), 1)]
    _, tensors = there_and_back(values)
    assert {name[:8] for name in tensors} == {f"value[{i}]" for i in range(4)}
    assert "value[0]['a']" in tensors
    with pytest.raises(PersistenceError, match=r"^value\['a'\]\[1\]\[0\] is a object"):
        there_and_back({"a": [1, (object(),)]})


def test_strings_of_any_shape_and_width():
    for array in (
        np.array([["a", "bcd"], ["", "é"]]), np.empty((0, 2), dtype="<U7"), np.array("one"),
        np.array([[], [1, "x"]], dtype=object), np.array([["a", None], [1.5, "b"]], dtype=object),
    ):  # fmt: skip
        again, _ = there_and_back(array)
        np.testing.assert_array_equal(again, array, strict=True)


def test_banks_and_captioned_images_survive():
    rng = np.random.default_rng(0)
    bank = TextBank(*(rng.normal(size=(n, 5)).astype(np.float32) for n in (2, 4)), 2)
    vectors = {"cat": rng.normal(size=5), "mat": rng.normal(size=5)}
    (again, images), _ = there_and_back((bank, CaptionedImages(np.eye(2, 5), [("cat", "mat"), ()], vectors)))
    assert again.per_class == 2
    for part in ("positive", "negative", "common"):
        np.testing.assert_array_equal(getattr(again, part), getattr(bank, part), strict=True)
    assert images.words == [("cat", "mat"), ()]
    np.testing.assert_array_equal(images.vectors["mat"], vectors["mat"])


def test_float32_that_is_half_precision_takes_half_the_bytes_and_no_bit_is_lost():
    whole = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    rounded = whole.astype(np.float16).astype(np.float32)
    for array, stored in (
        (rounded, np.float16), (rounded[:1, 0], np.float16),
        (whole, np.float32), (np.float32([1e6]), np.float32),
    ):  # fmt: skip
        again, tensors = there_and_back(array)
        assert [tensor.dtype for tensor in tensors.values()] == [stored]
        np.testing.assert_array_equal(again, array, strict=True)


def test_two_arrays_at_one_place_get_names_of_their_own():
    writer = ValueWriter(None)
    nodes = [writer.write({1: np.arange(n)}, "here") for n in (2, 3, 4)]
    assert list(writer.tensors) == ["here[1]", "here[1]+", "here[1]++"]
    again = [ValueReader(writer.tensors, None).read(node) for node in nodes]
    assert [len(value[1]) for value in again] == [2, 3, 4]


def test_strings_that_would_not_be_read_are_not_written(monkeypatch):
    monkeypatch.setattr(_values, "_MOST_CHARACTERS", 10)
    with pytest.raises(PersistenceError, match=r"names takes 48 bytes.*astype\(object\)"):
        ValueWriter(None).write(np.array(["abcdef", "b"]), "names")
    ValueWriter(None).write(np.array(["abcdef", "b"], dtype=object), "names")
    ValueWriter(None).write(np.array(["abcde", "b"]), "names")


def test_the_reader_says_which_tensors_it_used():
    writer = ValueWriter(None)
    node = writer.write({"a": np.arange(2.0)}, "")
    reader = ValueReader({**writer.tensors, "stray": np.arange(3.0)}, None)
    reader.read(node)
    assert reader.used == set(writer.tensors)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"$": "pickle", "data": "80"}, "unknown kind 'pickle'"),
        ({"no kind": 1}, "unknown kind None"),
        ({"$": "strings", "shape": [1], "width": 2**30, "items": ["a"]}, "width of 1073741824"),
        ({"$": "strings", "shape": [1], "width": -1, "items": ["a"]}, "width of -1"),
        # A few bytes that would take 8 GB.
        (
            {"$": "strings", "shape": [2**15], "width": 2**16, "items": ["a" * 2**16, *[""] * (2**15 - 1)]},
            "32768 strings of a width of 65536",
        ),
    ],
)
def test_nodes_that_no_writer_writes_are_refused(node, message):
    with pytest.raises(PersistenceError, match=message):
        ValueReader({}, None).read([1, {"$": "tuple", "items": [node]}])


@pytest.mark.parametrize(
    "value",
    [
        np.inf, -np.inf, np.nan, np.array([[0, np.nan]]), [0.0, (1.0, np.inf)], {"inner": [np.nan]},
        CaptionedImages(np.eye(2), [(), ()], {"cat": np.array([0, np.nan])}),
    ],
)  # fmt: skip
def test_numbers_that_are_not_finite_are_refused_wherever_they_hide(value):
    what = "(holds values that are not finite|is -?(nan|inf), expected a finite)"
    with pytest.raises(PersistenceError, match=f"^its (weights|inner|cat) {what}"):
        check_finite({"fine": 1.0, "weights": value})


def test_finite_values_of_every_kind_pass():
    check_finite({"a": [1, 2.5, "nan", None], "b": np.arange(3), "c": (np.eye(2), np.array(["inf"]))})
