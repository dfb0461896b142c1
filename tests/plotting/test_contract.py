"""What all displays promise."""

import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import skneg.plotting
from skneg import CLIPImageEncoder, MCMDetector, NegPromptDetector, PromptRecipe
from skneg.errors import InputError, InputTypeError, MissingDependencyError

from ..conftest import run_python

# ImageGridDisplay draws images, not sets of embeddings, and has promises of its own.
DISPLAYS = [getattr(skneg.plotting, name) for name in skneg.plotting.__all__ if name != "ImageGridDisplay"]
OF_IMAGES = [
    display for display in DISPLAYS if display.__name__ not in ("TrainingCurveDisplay", "ConfusionDisplay")
]
OF_SCORES = [skneg.plotting.ScoreHistogramDisplay, skneg.plotting.OODRocDisplay]


def seeded(display):
    return {"random_state": 0, "max_per_set": 20} if display.__name__ == "EmbeddingMapDisplay" else {}


def assert_same(one, other, offset):
    """Up to what the order of a sum changes; t-SNE makes more of that, so places are left out.

    So are images on the threshold: it is the score of one of them, and a last bit decides its answer.
    """
    one, other = (frame.drop(columns=["x", "y"], errors="ignore") for frame in (one, other))
    if "accepted" in one:
        aside = (one["score"] - offset).abs() > 1e-5
        assert aside.sum() >= len(one) - 1
        one, other = one[aside], other[aside]
    pd.testing.assert_frame_equal(one, other, rtol=0, atol=1e-5)


def test_importing_the_displays_leaves_matplotlib_and_torch_alone():
    code = (
        "import sys, skneg.plotting; skneg.plotting.OODRocDisplay;"
        "heavy = {'matplotlib', 'torch'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    run_python(code)


@pytest.mark.parametrize("display", DISPLAYS)
class TestEveryDisplay:
    def test_draws_where_it_is_told_and_returns_itself(self, display, detector, embedded, strange):
        _, axes = plt.subplots(1, 2)
        drawn = display.from_estimator(detector, *embedded, ood=strange, ax=axes[0], **seeded(display))
        assert isinstance(drawn, display)
        assert drawn.ax_ is axes[0]
        assert drawn.figure_ is axes[0].figure
        assert drawn.plot(axes[1]) is drawn
        assert drawn.ax_ is axes[1]
        assert drawn.plot().figure_ is not axes[0].figure

    def test_hands_its_numbers_back(self, display, detector, embedded, strange):
        frame = display.from_estimator(detector, *embedded, ood=strange, **seeded(display)).frame()
        assert len(frame) > 0
        assert not frame.isna().any(axis=None)

    def test_without_matplotlib_says_what_to_install(self, display, detector, embedded, strange, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        with pytest.raises(MissingDependencyError, match=r"pip install skneg\[plot\]") as caught:
            display.from_estimator(detector, *embedded, ood=strange)
        assert isinstance(caught.value, ImportError)

    def test_without_pandas_the_frame_says_what_to_install(
        self, display, detector, embedded, strange, monkeypatch
    ):
        drawn = display.from_estimator(detector, *embedded, ood=strange, **seeded(display))
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(MissingDependencyError, match="pandas"):
            drawn.frame()

    def test_needs_a_fitted_detector(self, display, embedded):
        with pytest.raises(NotFittedError):
            display.from_estimator(MCMDetector(model="skneg-tiny"), *embedded)

    def test_axes_are_labelled(self, display, detector, embedded, strange):
        drawn = display.from_estimator(detector, *embedded, ood=strange, **seeded(display))
        panels = getattr(drawn, "axes_", {"": drawn.ax_}).values()
        assert all(panel.get_ylabel() for panel in panels)
        assert any(panel.get_xlabel() for panel in panels)

    def test_text_stays_inside_the_figure(self, display, detector, embedded, strange):
        figure = display.from_estimator(detector, *embedded, ood=strange, **seeded(display)).figure_
        figure.canvas.draw()
        tight, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        assert tight.x0 >= 0
        assert tight.y0 >= 0
        assert tight.x1 <= width
        assert tight.y1 <= height


@pytest.mark.parametrize("display", OF_IMAGES)
class TestEveryDisplayOfImages:
    def test_rows_with_the_unknown_label_are_the_ood_set(self, display, detector, embedded, strange):
        X, y = embedded
        mixed = np.concatenate([strange, X]), np.concatenate([["unknown"] * len(strange), y])
        one = display.from_estimator(detector, *mixed, **seeded(display)).frame()
        other = display.from_estimator(detector, X, ood=strange, **seeded(display)).frame()
        assert_same(one, other, detector.offset_)
        assert set(one["set"]) >= {"OOD"}

    def test_a_label_that_is_neither_known_nor_unknown_is_refused(self, display, detector, embedded):
        X, y = embedded
        y = np.where(np.arange(len(y)) == 7, "zebra", y)
        with pytest.raises(InputError, match=r"y\[7\] is 'zebra'.*`ood`"):
            display.from_estimator(detector, X, y)

    def test_sets_need_names_of_their_own(self, display, detector, embedded, strange):
        with pytest.raises(InputError, match="'ID'"):
            display.from_estimator(detector, embedded[0], ood={"ID": strange})
        labels = ["unknown"] * len(strange)
        with pytest.raises(InputError, match="no known class"):
            display.from_estimator(detector, strange, labels)
        with pytest.raises(InputError, match="lengths"):
            display.from_estimator(detector, strange, labels[1:])

    def test_an_ood_set_does_not_swallow_unknown_rows(self, display, detector, embedded, strange):
        X, y = embedded
        y = np.where(np.arange(len(y)) < 5, "unknown", y)
        with pytest.raises(InputError, match='"OOD"'):
            display.from_estimator(detector, X, y, ood=strange)
        names = display.from_estimator(detector, X, y, ood={"more": strange}, **seeded(display)).frame()[
            "set"
        ]
        assert {"OOD", "more"} <= set(names)

    def test_pipelines_and_searches_are_unwrapped(self, display, detector, scenes, embedded, strange_scenes):
        pipeline = make_pipeline(CLIPImageEncoder(model="skneg-tiny"), NegPromptDetector(
            model="skneg-tiny", recipe=PromptRecipe(positive_steps=3, negative_steps=5),
            random_state=0, contamination=0.1,
            class_names=detector.class_names_,
        ))  # fmt: skip
        search = GridSearchCV(pipeline, {"negpromptdetector__recipe__n_negative": [2]}, cv=2)
        ood = CLIPImageEncoder(model="skneg-tiny").transform(strange_scenes)
        expected = display.from_estimator(detector, embedded[0], ood={"new": ood}, **seeded(display)).frame()
        for fitted in (pipeline.fit(*scenes), search.fit(*scenes)):
            drawn = display.from_estimator(fitted, scenes[0], ood={"new": strange_scenes}, **seeded(display))
            assert_same(drawn.frame(), expected, detector.offset_)


@pytest.mark.parametrize("display", OF_SCORES)
def test_what_gives_no_scores_is_refused(display, embedded, strange):
    from sklearn.linear_model import LogisticRegression

    with pytest.raises(InputTypeError, match="score_samples, which LogisticRegression lacks"):
        display.from_estimator(LogisticRegression().fit(*embedded), embedded[0], ood=strange)
