"""How prompts are trained, as one parameter: what is refused, and how long a stage is."""

import pytest
from sklearn.base import clone

from skneg.errors import InputError
from skneg.prompts import CoOpRecipe, PromptRecipe
from skneg.prompts.recipe import PAPER, RELEASED

BOTH = [CoOpRecipe, PromptRecipe]


@pytest.mark.parametrize("recipe", BOTH)
@pytest.mark.parametrize(
    "bad",
    [
        {"train_batch_size": 0}, {"train_batch_size": 1.5}, {"learning_rate": 0}, {"learning_rate": "fast"},
        {"n_ctx": 0}, {"n_ctx": True}, {"train_temperature": 0}, {"train_temperature": float("inf")},
        {"context_init": 5},
    ],
    ids=str,
)  # fmt: skip
def test_what_both_recipes_have_is_checked_in_both(recipe, bad):
    with pytest.raises(InputError, match=f"^{next(iter(bad))} "):
        recipe(**bad).check()


@pytest.mark.parametrize("bad", [{"n_epochs": 0}, {"n_epochs": 2.0}], ids=str)
def test_unusable_settings_of_coop_are_named(bad):
    with pytest.raises(InputError, match="^n_epochs must be an integer of at least 1"):
        CoOpRecipe(**bad).check()


@pytest.mark.parametrize(
    "bad",
    [
        {"n_negative": 0}, {"positive_steps": -1}, {"negative_steps": 1.5}, {"beta": -1}, {"gamma": "x"},
        {"negative_noise": float("nan")}, {"anchor_weight": None}, {"outlier_weight": -0.1},
        {"shared": "false"}, {"one_stage": 2}, {"nis_over": "positives"}, {"optimizer": "lbfgs"},
        {"step_unit": "hours"}, {"negative_init": 3}, {"negative_init": None},
        {"classes_per_step": 1}, {"classes_per_step": 2.0}, {"classes_per_step": True},
        {"classes_per_step": "all"},
    ],
    ids=str,
)  # fmt: skip
def test_unusable_settings_of_negprompt_are_named(bad):
    with pytest.raises(InputError, match=f"^{next(iter(bad))} must "):
        PromptRecipe(**bad).check()


@pytest.mark.parametrize(
    "recipe",
    [
        *(recipe() for recipe in BOTH),
        CoOpRecipe(n_ctx=None, context_init="a photo of a", n_epochs=1, train_temperature=0.05),
        PromptRecipe(
            positive_steps=0, negative_steps=0, beta=0, gamma=0, negative_noise=0, anchor_weight=0,
            outlier_weight=0, context_init=None, n_ctx=1, negative_init="not a photo of a", shared=False,
            one_stage=True, nis_over="all", optimizer="sgd", step_unit="epochs", classes_per_step=None,
        ),
    ],
)  # fmt: skip
def test_usable_settings_pass_and_survive_cloning(recipe):
    recipe.check()
    assert clone(recipe).get_params() == recipe.get_params()


@pytest.mark.parametrize(
    ("n_images", "positive", "negative"), [(1, 3, 5), (8, 3, 5), (9, 6, 10), (16, 6, 10), (17, 9, 15)]
)
def test_epochs_are_counted_in_batches_and_steps_as_they_are(n_images, positive, negative):
    epochs = PromptRecipe(positive_steps=3, negative_steps=5, step_unit="epochs", train_batch_size=8)
    lengths = [epochs.steps(stage, n_images, 5) for stage in ("positive", "negative")]
    assert lengths == [positive, negative]
    steps = clone(epochs).set_params(step_unit="steps")
    assert (steps.steps("positive", n_images, 5), steps.steps("negative", n_images, 5)) == (3, 5)


def test_an_epoch_draws_every_class():
    recipe = PromptRecipe(positive_steps=3, step_unit="epochs", train_batch_size=8, classes_per_step=4)
    assert recipe.steps("positive", 8, 4) == 3
    assert recipe.steps("positive", 8, 9) == 9
    assert recipe.steps("positive", 80, 9) == 30
    assert recipe.set_params(classes_per_step=None).steps("positive", 8, 9) == 3


@pytest.mark.parametrize("published", [PAPER, RELEASED], ids=["paper", "released"])
def test_the_published_recipes_take_all_classes_in_every_step(published):
    assert PromptRecipe(**published).classes_per_step is None
