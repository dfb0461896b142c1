"""Numbers first, and a table to read."""

import pickle
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skneg.datasets import SHAPE_NAMES
from skneg.errors import InputError, MissingDependencyError
from skneg.inspection._tables import NearestWords


def test_rows_and_frames_have_the_same_numbers(negprompt, embedded):
    why = negprompt.explain(embedded[0])
    assert len(why) == len(list(why)) == 120
    assert why[-1].score.tolist() == [why.score[-1]]
    np.testing.assert_array_equal(why[why.decision < 0].negative, why.negative[why.decision < 0])
    with pytest.raises(IndexError):
        why[120]
    frame = why.to_frame()
    assert list(frame) == list(why.to_dict())
    np.testing.assert_array_equal(frame["negative_class"], why.negative_class)


def test_a_selection_keeps_the_rows_of_x(negprompt, embedded):
    why = negprompt.explain(embedded[0][:10])
    assert why[[5, 2]].image.tolist() == [5, 2]
    assert str(why[7:8]).splitlines()[-1].startswith("7")


def test_it_prints_a_table_of_a_few_images(negprompt, embedded):
    lines = str(negprompt.explain(embedded[0])).split("\n")
    assert len(lines) == 12
    assert lines[-1].startswith("... and 110 more")
    few = negprompt.explain(embedded[0][:2])
    assert len(str(few).split("\n")) == 3
    assert few.nearest_class[1] in str(few)
    assert f"{few.negative_name[1]} (cos {few.negative_cosine[1]:.3f})" in str(few)


def test_it_prints_and_frames_all_words(mcm, negprompt):
    frame = mcm.nearest_words(SHAPE_NAMES, n=2, of="positive").to_frame()
    assert len(frame) == 12
    assert frame[frame["class"] == "star"]["word"].iloc[0] == "star"
    assert frame["rank"].tolist()[:3] == [1, 2, 1]
    lines = str(negprompt.nearest_words(SHAPE_NAMES, n=2)).split("\n")
    assert lines[1].startswith("anchor [0] | ")
    assert lines[-1].startswith("... and 2 more")


def test_frames_without_pandas_say_what_to_install(mcm, embedded, monkeypatch):
    explained = mcm.explain(embedded[0][:1])
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match="pip install pandas"):
        explained.to_frame()


def test_a_printed_table_is_aligned_and_says_how_much_it_hides():
    words = NearestWords(
        "positive",
        ["cat", "a longer name", *map(str, range(10))],
        np.array([["feline", "dog"]] * 12),
        np.array([[0.5, 0.25]] * 12),
    )
    lines = str(words).split("\n")
    assert lines[:3] == [
        "positive      | nearest words (cosine)",
        "cat           | feline (0.50), dog (0.25)",
        "a longer name | feline (0.50), dog (0.25)",
    ]
    assert lines[-1] == "... and 2 more; see to_dict() or to_frame()"
    assert repr(words) == str(words)
    assert words.to_dict()["cat"] == {"feline": 0.5, "dog": 0.25}
    assert "class" not in words.to_frame()  # prompts of no class


@pytest.fixture(scope="module")
def files(scenes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files") / "<b>&"
    folder.mkdir()
    paths = [folder / f"{number}.png" for number in range(12)]
    for path, pixels in zip(paths, scenes[0], strict=False):
        Image.fromarray(pixels).save(path)
    return paths


class TestImages:
    def test_paths_are_a_column_and_stand_in_the_table(self, mcm, files):
        why = mcm.explain(files)
        assert why.path.tolist() == [str(path) for path in files]
        assert why.to_frame()["path"][3] == str(files[3])
        assert f"...{str(files[3])[-37:]}" in str(why)
        assert mcm.explain(pd.Series(files)).path.tolist() == why.path.tolist()
        assert mcm.explain(np.array([str(path) for path in files])).path.tolist() == why.path.tolist()

    def test_other_images_have_no_path(self, mcm, scenes, embedded):
        for X in (scenes[0][:3], list(scenes[0][:3]), embedded[0][:3]):
            assert mcm.explain(X).path is None

    def test_the_most_suspicious_stand_first(self, mcm, files):
        why = mcm.explain(files)
        worst = why.most_suspicious(3)
        assert worst.decision.tolist() == sorted(why.decision)[:3]
        assert worst.path[0] == str(files[worst.image[0]])
        assert len(why.most_suspicious(100)) == 12
        with pytest.raises(InputError, match="n must be"):
            why.most_suspicious(0)

    def test_a_notebook_shows_pictures_and_no_markup_of_names(self, mcm, files):
        page = mcm.explain(files)._repr_html_()
        assert page.count('<img src="data:image/jpeg;base64,') == 10
        assert "and 2 more" in page
        assert "<b>" not in page
        assert "&lt;b&gt;&amp;" in page

    def test_embeddings_are_shown_without_pictures(self, mcm, embedded):
        why = mcm.explain(embedded[0][:3])
        assert why.pictures() == ["", "", ""]
        assert "<img" not in why._repr_html_()

    def test_a_pickle_keeps_the_numbers(self, mcm, files):
        why = pickle.loads(pickle.dumps(mcm.explain(files)))
        assert why.images is None
        assert why.path[0] == str(files[0])
        assert why.pictures()[0] == ""
