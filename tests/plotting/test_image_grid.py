"""The grid of the images that look least like the known classes."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from sklearn.pipeline import make_pipeline

from skneg import CLIPImageEncoder, MCMDetector, ScoreEnsemble
from skneg.errors import InputError, InputTypeError
from skneg.plotting import ImageGridDisplay
from skneg.plotting._display import BLUE, VERMILLION


@pytest.fixture(scope="module")
def fitted(scenes):
    return MCMDetector(model="skneg-tiny").fit(*scenes)


def test_draws_the_least_like_first_and_marks_the_rejected(fitted, scenes, strange_scenes):
    mixed = np.concatenate([scenes[0][:5], strange_scenes])
    display = ImageGridDisplay.from_estimator(fitted, mixed, n=len(mixed))
    decision = np.sort(fitted.decision_function(mixed))
    np.testing.assert_array_equal(display.frame()["decision"], decision)
    frames = [to_hex(panel.spines["top"].get_edgecolor()).upper() for panel in display.axes_.values()]
    assert frames == [BLUE if value >= 0 else VERMILLION for value in decision]
    row = display.frame()["image"][0]
    np.testing.assert_array_equal(display.axes_[row].images[0].get_array(), mixed[row])


def test_fewer_images_than_asked_are_all_drawn(fitted, scenes):
    assert len(ImageGridDisplay.from_estimator(fitted, scenes[0][:3], n=50).axes_) == 3


def test_a_pipeline_that_embeds_shows_the_images(scenes, embedded):
    pipeline = make_pipeline(CLIPImageEncoder(model="skneg-tiny"), MCMDetector(model="skneg-tiny"))
    display = ImageGridDisplay.from_estimator(pipeline.fit(*scenes), list(scenes[0][:8]), n=2)
    assert [len(panel.images) for panel in display.axes_.values()] == [1, 1]


def test_names_that_are_no_formula_are_drawn_as_they_are(fitted, strange_scenes):
    why = fitted.explain(strange_scenes[:2])
    object.__setattr__(why, "nearest_class", np.array(["$x_", "a^b$"]))
    ImageGridDisplay.from_explanations(why).figure_.canvas.draw()


def test_nothing_rejected_is_nothing_to_draw(fitted, scenes):
    why = fitted.explain(scenes[0][:3])
    with pytest.raises(InputError, match="no image is among them"):
        ImageGridDisplay.from_explanations(why[[]])


def test_without_an_unknown_label_no_image_is_called_unknown(scenes, strange_scenes):
    detector = MCMDetector(model="skneg-tiny", unknown_label=None).fit(*scenes)
    display = ImageGridDisplay.from_estimator(detector, strange_scenes, n=3)
    assert not any("unknown" in panel.get_title() for panel in display.axes_.values())


def test_embeddings_have_no_pictures(fitted, embedded):
    with pytest.raises(InputError, match=r"explain\(paths\)"):
        ImageGridDisplay.from_estimator(fitted, embedded[0])


def test_an_ensemble_explains_nothing(fitted, scenes):
    ensemble = ScoreEnsemble([MCMDetector(model="skneg-tiny").fit(*scenes)])
    with pytest.raises(InputTypeError, match="give one of its detectors"):
        ImageGridDisplay.from_estimator(ensemble, scenes[0][:3])
