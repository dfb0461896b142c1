"""What the displays share: styles, axes, frames."""

import itertools

import numpy as np
from matplotlib import pyplot as plt

from skneg.plotting._display import BLUE, Display, repeat_names, styles


def test_no_two_sets_look_alike():
    chosen = list(styles(map(str, range(50))).values())
    assert len(set(chosen)) == 50
    # Next to each other they differ without colour as well.
    for one, other in itertools.pairwise(chosen):
        assert one.line != other.line
        assert one.marker != other.marker


def test_the_known_classes_alone_are_blue():
    known, *others = styles(["ID", "near", "far", *map(str, range(20))]).values()
    assert known == (BLUE, "-", "o")
    assert BLUE not in {style.color for style in others}


def test_names_are_repeated_for_each_row_of_their_set():
    names = repeat_names({"ID": np.zeros(2), "none": np.zeros(0), "a longer name": np.zeros((3, 4))})
    assert names.tolist() == ["ID", "ID", "a longer name", "a longer name", "a longer name"]


def test_given_axes_are_taken_and_else_a_figure_of_the_size_is_made():
    display = Display()
    _, given = plt.subplots()
    n_figures = len(plt.get_fignums())
    assert display._start(given, (1, 1)) is display.ax_ is given
    assert display.figure_ is given.figure
    assert len(plt.get_fignums()) == n_figures
    assert display._start(None, (3, 2)) is not given
    assert display.figure_.get_size_inches().tolist() == [3, 2]


def test_a_frame_has_the_columns_in_their_order():
    frame = Display()._as_frame({"set": ["a", "b"], "n": 4})
    assert frame.to_dict("list") == {"set": ["a", "b"], "n": [4, 4]}
    assert frame.columns.tolist() == ["set", "n"]
