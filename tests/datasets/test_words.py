"""The word lists that ship with skneg."""

import pytest

from skneg.datasets import load_words
from skneg.errors import InputError


@pytest.mark.parametrize(("kind", "least"), [("nouns", 5000), ("adjectives", 600)])
def test_a_list_is_long_sorted_and_without_repetition(kind, least):
    words = load_words(kind)
    assert len(words) >= least
    assert list(words) == sorted(set(words))
    assert all(word == word.strip().lower() and word for word in words)


def test_nouns_are_the_default_and_each_list_holds_its_kind():
    assert load_words() == load_words("nouns")
    nouns, adjectives = set(load_words("nouns")), set(load_words("adjectives"))
    assert {"lighthouse", "star", "zebra"} <= nouns - adjectives
    assert {"shiny", "wooden", "round"} <= adjectives


def test_a_list_that_does_not_exist_is_refused_by_name():
    with pytest.raises(InputError, match="kind.*'verbs'"):
        load_words("verbs")
