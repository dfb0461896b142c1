import numpy as np
import pytest

from skneg.errors import InputError, InputTypeError, VocabularyError
from skneg.vocabulary import build_vocabulary, check_labels, replace_vocabulary, resolve_unknown_label

TEXT, NUMBERS = np.array(["cat", "dog"]), np.array([3, 7])


def pairs(vocabulary):
    return dict(zip(vocabulary.labels.tolist(), vocabulary.names, strict=True))


def test_string_labels_name_themselves():
    assert pairs(build_vocabulary(TEXT, None)) == {"cat": "cat", "dog": "dog"}


def test_position_names_the_class():
    assert pairs(build_vocabulary(NUMBERS, ["hen", "emu"])) == {3: "hen", 7: "emu"}
    assert pairs(build_vocabulary(TEXT, ["tabby", "terrier"])) == {"cat": "tabby", "dog": "terrier"}


def test_longer_sequence_names_integer_labels_by_value():
    names = list("abcdefghij")
    assert pairs(build_vocabulary(np.array([0, 7]), names)) == dict(enumerate(names))


def test_names_that_contain_the_string_labels_do_not_rename_them():
    assert pairs(build_vocabulary(TEXT, ["dog", "cat"])) == {"cat": "cat", "dog": "dog"}
    assert pairs(build_vocabulary(TEXT, ["emu", "dog", "cat"])) == {n: n for n in ("cat", "dog", "emu")}


def test_mapping_names_labels_and_adds_classes_without_images():
    assert pairs(build_vocabulary(NUMBERS, {7: "emu", 3: "hen", 9: "owl"})) == {3: "hen", 7: "emu", 9: "owl"}


@pytest.mark.parametrize(
    ("seen", "names", "error", "message"),
    [
        (NUMBERS, None, VocabularyError, "pass class_names"),
        (NUMBERS, ["hen"], VocabularyError, "no name for 7"),
        (NUMBERS, {3: "hen"}, VocabularyError, "no name for label 7"),
        (NUMBERS, ["a", "b", "c", "d"], VocabularyError, "from 3 on: which name is whose.*mapping"),
        (np.array([0, 7]), ["a", "b", "c", "d"], VocabularyError, "no such name for label 7"),
        (TEXT, ["a", "b", "c"], VocabularyError, "'cat'"),
        (NUMBERS, ["hen", "hen"], VocabularyError, "duplicate class name 'hen'.*3 and 7"),
        (NUMBERS, ["hen", "  "], VocabularyError, "name of class 7 is empty"),
        (NUMBERS, ["hen", 5], InputTypeError, r"class_names\[1\] is 5"),
        (NUMBERS, ["hen", "\u200b\n"], VocabularyError, "name of class 7 is empty"),
        (NUMBERS, {3: "hen", 7: "emu", "x": "owl"}, InputTypeError, "all be strings or all integers"),
        (TEXT, ["dog", "terrier"], VocabularyError, "'cat' the name 'dog'.*mapping"),
        (NUMBERS, {"hen", "emu"}, InputTypeError, "class_names must be a sequence"),
        (NUMBERS, "hen", InputTypeError, "class_names must be a sequence"),
        (NUMBERS, dict, InputTypeError, "class_names must be a sequence"),
    ],
)
def test_unusable_names_are_refused(seen, names, error, message):
    with pytest.raises(error, match=message):
        build_vocabulary(seen, names)


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (None, InputError, "requires y"),
        (["a", float("nan"), "b"], InputTypeError, "row 1 is nan"),
        (["a", 5, "b"], InputTypeError, "row 1 is 5"),
        ([1, 2], InputError, "3 images, 2 labels"),
        ([[1, 2], [1, 2], [1, 2]], InputError, "1-D"),
        ([1.0, np.nan, 2.0], InputError, "row 1"),
        (np.array([1, "a", 2], dtype=object), InputTypeError, "all of one kind"),
        ([True, False, True], InputTypeError, "bool"),
        (np.array(["a", None, "b"], dtype=object), InputTypeError, "row 1 is None"),
    ],
)
def test_unusable_labels_are_refused(y, error, message):
    with pytest.raises(error, match=message):
        check_labels(y, 3)


def test_replacing_keeps_the_order_and_the_kind_of_label():
    assert pairs(replace_vocabulary(["tapir", "okapi"], TEXT)) == {"tapir": "tapir", "okapi": "okapi"}
    assert pairs(replace_vocabulary(["tapir", "okapi"], NUMBERS)) == {0: "tapir", 1: "okapi"}
    assert pairs(replace_vocabulary({9: "tapir", 4: "okapi"}, NUMBERS)) == {9: "tapir", 4: "okapi"}
    with pytest.raises(InputTypeError, match="labels such as 'x'"):
        replace_vocabulary({"x": "tapir", "y": "okapi"}, NUMBERS)


def test_unknown_label_follows_the_labels():
    assert resolve_unknown_label("auto", NUMBERS) == -1
    assert resolve_unknown_label("auto", TEXT) == "unknown"
    assert resolve_unknown_label(None, TEXT) is None
    with pytest.raises(InputTypeError, match="unknown_label=-1"):
        resolve_unknown_label(-1, TEXT)
