import numpy as np
import pytest

from skneg import CoOpDetector, LSNDetector, NegPromptDetector
from skneg.detectors._prompt import rows_of, trained_classes
from skneg.errors import InputError, InputTypeError, VocabularyError
from skneg.prompts import CoOpRecipe, PromptRecipe

from ..conftest import KNOWN

QUICK = CoOpRecipe(n_ctx=4, n_epochs=2, train_batch_size=64)


def test_classes_without_images_are_not_trained():
    names, targets = trained_classes(np.array([3, 1, 3, 1, 1]), list("abcd"))
    assert names == ["b", "d"]
    assert targets.tolist() == [1, 0, 1, 0, 0]
    with pytest.raises(InputError, match="at least 2 classes, got 1 class: 'c'"):
        trained_classes(np.array([2, 2]), list("abcd"))


def test_contexts_of_a_class_are_found_by_its_name():
    learned = {"trained_names_": ["b", "d", "a"]}
    assert rows_of(learned, ["a", "b"], "why") == [2, 0]
    with pytest.raises(VocabularyError, match="'c' has no context of its own: because"):
        rows_of(learned, ["a", "c"], "because")


def test_a_class_without_images_waits_for_its_name_in_the_bank(embedded):
    X, y = embedded[0][:40], np.searchsorted(sorted(KNOWN), embedded[1][:40])
    names = [*sorted(KNOWN), "fish"]
    settings = {"model": "skneg-tiny", "recipe": QUICK, "calibration": "train", "random_state": 0}
    six, seven = (CoOpDetector(**settings).fit(X, y, class_names=given) for given in (names[:6], names))
    assert seven.trained_names_ == names[:6]
    np.testing.assert_array_equal(seven.positive_context_, six.positive_context_)
    assert len(seven.text_bank_.positive) == 7
    np.testing.assert_allclose(seven.text_bank_.positive[:6], six.text_bank_.positive, atol=1e-6)


@pytest.mark.parametrize(
    ("detector", "message"),
    [
        (CoOpDetector(recipe=PromptRecipe()), "recipe must be a CoOpRecipe"),
        (LSNDetector(recipe="quick"), "recipe must be a CoOpRecipe"),
        (NegPromptDetector(recipe=QUICK), "recipe must be a PromptRecipe"),
    ],
)
def test_recipes_of_another_method_are_refused(detector, message, embedded):
    with pytest.raises(InputTypeError, match=message):
        detector.set_params(model="skneg-tiny").fit(*embedded)


def test_a_recipe_s_own_settings_are_checked_before_training(embedded):
    detector = CoOpDetector(model="skneg-tiny", recipe=CoOpRecipe(n_epochs=0))
    with pytest.raises(InputError, match="n_epochs"):
        detector.fit(*embedded)
