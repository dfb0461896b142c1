"""Images with the words that were read off each."""

import numpy as np
import pytest

from skneg.images import CaptionedImages

WORDS = [("cat", "mat"), (), ("mat",), ("cat", "tree", "mat")]
VECTORS = dict(zip(["tree", "cat", "mat", "sea"], np.eye(4), strict=True))


@pytest.fixture
def captioned():
    return CaptionedImages(np.arange(16.0).reshape(4, 4), WORDS, VECTORS)


@pytest.mark.parametrize(
    "rows",
    [slice(1, 3), slice(None, None, -1), np.array([3, 0, 3]), np.array([True, False, False, True]), []],
)
def test_rows_and_words_are_chosen_together(captioned, rows):
    some, chosen = captioned[rows], np.arange(4)[rows]
    np.testing.assert_array_equal(some.embeddings, captioned.embeddings[chosen])
    assert some.words == [WORDS[row] for row in chosen]
    assert len(some) == len(chosen)
    assert some.vectors is VECTORS


def test_plain_values_make_the_same_images_again(captioned):
    plain = captioned.as_plain_values()
    assert plain["distinct"] == ["cat", "mat", "tree"]  # in the order they appear; "sea" is on no image
    again = CaptionedImages.from_plain_values(**plain)
    np.testing.assert_array_equal(again.embeddings, captioned.embeddings)
    assert again.words == WORDS
    assert set(again.vectors) == {"cat", "mat", "tree"}
    for word, vector in again.vectors.items():
        np.testing.assert_array_equal(vector, VECTORS[word])


def test_images_without_any_word_have_no_vectors_of_the_same_width(captioned):
    plain = captioned[1:2].as_plain_values()
    assert plain["distinct"] == []
    assert plain["vectors"].shape == (0, 4)
    assert CaptionedImages.from_plain_values(**plain).vectors == {}
