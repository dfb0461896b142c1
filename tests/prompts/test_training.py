"""The training loop: which context each stage changes, and that everything in the recipe acts."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from skneg.errors import InputError, SknegError
from skneg.prompts import PromptEncoder, PromptRecipe, context_from_text, train_prompts
from skneg.prompts.losses import nis, nnd, npd
from skneg.prompts.training import (
    LearnedPrompts,
    _optimizer,
    batches_of,
    batches_of_classes,
    initial_context,
    minimise,
    train_positives_without,
)

NAMES = ["star", "heart", "key"]
LABELS = np.array([0, 1, 2, 0, 1, 2])


@pytest.fixture(scope="module")
def data(tiny_tower):
    anchors = tiny_tower.encode([f"a photo of a {name}" for name in NAMES])
    noise = np.random.default_rng(0).normal(scale=0.05, size=(len(LABELS), anchors.shape[1]))
    images = anchors[LABELS] + noise
    images = (images / np.linalg.norm(images, axis=1, keepdims=True)).astype(np.float32)
    words = tiny_tower.encode(["a photo of a fish", "a photo of a tree", "a photo of a ladder"])
    return SimpleNamespace(images=images, anchors=anchors, words=words, tower=tiny_tower)


def train(data, seed=0, **settings):
    settings = {"positive_steps": 3, "negative_steps": 3, **settings}
    return train_prompts(
        data.tower, NAMES, data.images, LABELS, PromptRecipe(**settings),
        anchors=data.anchors, words=data.words, seed=seed,
    )  # fmt: skip


@pytest.fixture(scope="module")
def start(data):
    return context_from_text(data.tower, "a photo of a").numpy()


def test_no_positive_steps_leave_the_positive_context_at_its_start(data, start):
    np.testing.assert_array_equal(train(data, positive_steps=0).positive_context, start)
    assert (train(data, positive_steps=1).positive_context != start).any()


def test_training_goes_on_from_a_learned_context(data):
    learned = train(data, negative_steps=0).positive_context
    recipe = PromptRecipe(positive_steps=0, negative_steps=3)
    again = train_prompts(data.tower, NAMES, data.images, LABELS, recipe, start=learned)
    np.testing.assert_array_equal(again.positive_context, learned)
    other = train_prompts(data.tower, NAMES, data.images, LABELS, recipe)
    assert (again.negative_context != other.negative_context).any()


def test_the_negative_stage_leaves_the_positive_context_alone(data):
    none, some = (train(data, negative_steps=steps) for steps in (0, 5))
    np.testing.assert_array_equal(none.positive_context, some.positive_context)
    assert (none.negative_context != some.negative_context).any()


def test_the_positive_stage_knows_nothing_of_negatives(data):
    one = train(data, n_negative=1, beta=5.0, gamma=5.0, outlier_weight=5.0)
    other = train(data, n_negative=3)
    np.testing.assert_array_equal(one.positive_context, other.positive_context)


def test_negatives_start_at_the_learned_positive_with_noise_of_their_own(data):
    learned = train(data, negative_steps=0, n_negative=4, negative_noise=0.5)
    noise = learned.negative_context - learned.positive_context
    assert noise.std() == pytest.approx(0.5, rel=0.1)
    assert abs(noise.mean()) < 0.05
    assert np.abs(noise[0] - noise[1]).max() > 0.1
    silent = train(data, negative_steps=0, negative_noise=0.0)
    np.testing.assert_array_equal(silent.negative_context, np.stack([silent.positive_context] * 2))


def test_negatives_may_start_at_random_or_at_a_text(data, start):
    drawn = train(data, negative_steps=0, negative_init="random", negative_noise=0.0).negative_context
    assert drawn.std() == pytest.approx(0.02, rel=0.15)
    assert drawn.shape == (2, *start.shape)  # and not the word "random"
    text = "not a photo of a"
    written = train(data, negative_steps=0, negative_init=text, negative_noise=0.0).negative_context
    np.testing.assert_array_equal(written[0], context_from_text(data.tower, text).numpy())


def test_one_stage_trains_both(data, start):
    joint = train(data, one_stage=True, negative_noise=0.0)
    assert (joint.positive_context != start).any()
    assert (joint.negative_context[0] != start).any()
    assert len(joint.history["joint/total"]) == 3


@pytest.mark.parametrize(("steps", "n"), [((2, 4), 4), ((4, 2), 4), ((0, 3), 3)])
def test_one_stage_takes_the_steps_of_the_longer_one(data, steps, n):
    positive, negative = steps
    joint = train(data, one_stage=True, positive_steps=positive, negative_steps=negative)
    assert len(joint.history["joint/total"]) == n
    assert {name.partition("/")[0] for name in joint.history} == {"joint"}
    epochs = {"step_unit": "epochs", "train_batch_size": 4}  # of two steps
    joint = train(data, one_stage=True, positive_steps=positive, negative_steps=negative, **epochs)
    assert len(joint.history["joint/total"]) == 2 * n


def test_one_stage_starts_negatives_at_the_positive_and_minimises_the_terms_of_both(data, start):
    none = train(data, one_stage=True, positive_steps=0, negative_steps=0, negative_noise=0.0)
    np.testing.assert_array_equal(none.negative_context, np.stack([start] * 2))
    np.testing.assert_array_equal(none.positive_context, start)
    settings = {"negative_noise": 0.0, "outlier_weight": 0.0, "complementary_weight": 1.0}
    joint = train(data, one_stage=True, positive_steps=1, negative_steps=1, **settings).history
    first = train(data, positive_steps=1, negative_steps=0, **settings).history
    second = train(data, positive_steps=0, negative_steps=1, **settings).history
    for stage, terms in (
        ("positive", ("cross_entropy", "anchor")),
        ("negative", ("nis", "npd", "nnd", "complementary")),
    ):
        for term in terms:
            expected = {**first, **second}[f"{stage}/{term}"]
            np.testing.assert_allclose(joint[f"joint/{term}"], expected, rtol=1e-5)


def test_negatives_stand_beside_the_learned_positives(data):
    learned = train(data, negative_steps=1, negative_noise=0.0, gamma=0.0)
    positive = torch.from_numpy(learned.positive_context)
    positives = PromptEncoder(data.tower, len(positive), NAMES)(positive[None], normalize=True)[0]
    expected = -0.1 * float((positives * positives).sum(dim=1).mean())
    assert learned.history["negative/npd"][0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("settings", [{"shared": True}, {"shared": False}])
def test_negatives_of_classes_start_at_a_text_of_all(data, settings):
    text = "not a photo of a"
    learned = train(data, negative_steps=0, negative_init=text, negative_noise=0.0, n_negative=3, **settings)
    written = context_from_text(data.tower, text).numpy()
    shape = (3, *written.shape) if settings["shared"] else (3, 3, *written.shape)
    np.testing.assert_array_equal(learned.negative_context, np.broadcast_to(written, shape))


def test_a_learned_start_is_that_of_each_class_where_contexts_are_not_shared(data, start):
    recipe = PromptRecipe(positive_steps=0, negative_steps=0, shared=False)
    learned = train_prompts(data.tower, NAMES, data.images, LABELS, recipe, start=start + 1)
    np.testing.assert_array_equal(learned.positive_context, np.stack([start + 1] * 3))


class TestInitialContext:
    @pytest.mark.parametrize(("n_ctx", "n"), [(None, 16), (5, 5)])
    def test_without_a_text_it_is_small_noise_of_the_seed(self, tiny_tower, n_ctx, n):
        recipe = PromptRecipe(context_init=None, n_ctx=n_ctx)
        one, same, other = (
            initial_context(tiny_tower, recipe, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
        )
        assert one.shape == (n, tiny_tower.width)
        assert float(one.std()) == pytest.approx(0.02, rel=0.15)
        assert torch.equal(one, same)
        assert not torch.equal(one, other)

    def test_a_text_decides_the_length(self, tiny_tower):
        for n_ctx in (None, 4):
            recipe = PromptRecipe(context_init="a photo of a", n_ctx=n_ctx)
            found = initial_context(tiny_tower, recipe, torch.Generator())
            assert torch.equal(found, context_from_text(tiny_tower, "a photo of a"))
        with pytest.raises(InputError, match="n_ctx=3, but context_init='a photo of a' has 4 tokens"):
            initial_context(tiny_tower, PromptRecipe(n_ctx=3), torch.Generator())


@pytest.mark.parametrize("classes_per_step", [2, None])
def test_all_is_random_by_the_seed_alone(data, classes_per_step):
    settings = {
        "context_init": None, "n_ctx": 3, "negative_init": "random", "train_batch_size": 3,
        "classes_per_step": classes_per_step,
    }  # fmt: skip
    torch.manual_seed(1)
    one = train(data, **settings)
    torch.manual_seed(2)
    again, other = train(data, **settings), train(data, seed=1, **settings)
    for name in ("positive_context", "negative_context"):
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
        assert (getattr(one, name) != getattr(other, name)).any()


def test_words_and_anchors_are_those_of_the_objective(data):
    recipe = PromptRecipe(positive_steps=1, negative_steps=1)
    none = train_prompts(data.tower, NAMES, data.images, LABELS, recipe)
    assert set(none.history) == {
        "positive/cross_entropy", "positive/total", "negative/nis", "negative/npd", "negative/nnd",
        "negative/total",
    }  # fmt: skip
    of_words = train_prompts(data.tower, NAMES, data.images, LABELS, recipe, words=data.words)
    assert of_words.history["positive/cross_entropy"] > none.history["positive/cross_entropy"]


class TestPositivesWithoutAPart:
    def test_each_is_learned_from_the_rest(self, data):
        part = np.array([0, 0, 0, 1, 1, 2])
        recipe = PromptRecipe(positive_steps=2, negative_steps=99)
        learned_from = {"anchors": data.anchors, "words": data.words, "seed": 4}
        contexts = train_positives_without(
            data.tower, NAMES, data.images, LABELS, recipe, part, **learned_from
        )
        assert recipe.negative_steps == 99
        assert len(contexts) == 3
        recipe = PromptRecipe(positive_steps=2, negative_steps=0)
        for left_out, context in enumerate(contexts):
            rest = part != left_out
            alone = train_prompts(data.tower, NAMES, data.images[rest], LABELS[rest], recipe, **learned_from)
            np.testing.assert_array_equal(context, alone.positive_context)

    def test_classes_without_images_in_the_rest_are_left_out(self, data):
        part = np.array([0, 1, 1, 0, 0, 0])  # without part 1 there are no images of the second class
        labels = np.array([0, 1, 1, 0, 2, 2])
        recipe = PromptRecipe(positive_steps=2)
        (_, context) = train_positives_without(
            data.tower, NAMES, data.images, labels, recipe, part, anchors=data.anchors, words=data.words
        )
        rest = part == 0
        alone = train_prompts(
            data.tower, ["star", "key"], data.images[rest], np.array([0, 0, 1, 1]),
            PromptRecipe(positive_steps=2, negative_steps=0), anchors=data.anchors[[0, 2]], words=data.words,
        )  # fmt: skip
        np.testing.assert_array_equal(context, alone.positive_context)


def test_contexts_of_classes_are_their_own_where_they_are_not_shared(data, start):
    learned = train(data, shared=False)
    assert learned.positive_context.shape == (3, *start.shape)
    assert learned.negative_context.shape == (2, 3, *start.shape)
    assert np.abs(learned.positive_context[0] - learned.positive_context[1]).max() > 0


@pytest.mark.parametrize(
    ("setting", "part"),
    [
        ({"anchor_weight": 0.0}, "positive_context"),
        ({"beta": 9.0}, "negative_context"),
        ({"gamma": 9.0}, "negative_context"),
        ({"outlier_weight": 0.0}, "negative_context"),
        ({"nis_over": "all"}, "negative_context"),
        ({"negative_noise": 0.1}, "negative_context"),
        ({"learning_rate": 0.05}, "positive_context"),
        ({"train_temperature": 0.1}, "positive_context"),
        ({"optimizer": "sgd"}, "positive_context"),
    ],
    ids=str,
)
def test_every_setting_acts(data, setting, part):
    assert (getattr(train(data), part) != getattr(train(data, **setting), part)).any()


def test_one_step_of_sgd_goes_down_the_gradient_of_the_printed_total(data):
    settings = {
        "positive_steps": 0, "negative_steps": 1, "optimizer": "sgd", "learning_rate": 0.1, "beta": 0.7,
        "gamma": 0.3, "outlier_weight": 0.0, "negative_noise": 0.1,
    }  # fmt: skip
    before = train(data, **{**settings, "negative_steps": 0})
    after = train(data, **settings)
    context = torch.from_numpy(before.negative_context).requires_grad_()
    positive = torch.from_numpy(before.positive_context)
    encoder = PromptEncoder(data.tower, len(positive), NAMES)
    negatives, positives = encoder(context, normalize=True), encoder(positive[None], normalize=True)[0]
    logits = torch.from_numpy(data.images) @ negatives.flatten(0, 1).T / data.tower.temperature
    total = nis(logits) + 0.7 * npd(negatives, positives) + 0.3 * nnd(negatives)
    (gradient,) = torch.autograd.grad(total, context)
    expected = before.negative_context - 0.1 * gradient.numpy()
    np.testing.assert_allclose(after.negative_context, expected, atol=1e-5)


def test_history_holds_every_term_and_their_sum(data):
    history = train(data).history
    for stage, terms in (
        ("positive", ("cross_entropy", "anchor")),
        ("negative", ("nis", "npd", "nnd", "outliers")),
    ):
        parts = [history[f"{stage}/{term}"] for term in terms]
        np.testing.assert_allclose(np.sum(parts, axis=0), history[f"{stage}/total"], rtol=1e-5)
        assert len(parts[0]) == 3


def test_steps_or_epochs(data):
    epochs = train(data, step_unit="epochs", positive_steps=2, negative_steps=1, train_batch_size=4)
    assert len(epochs.history["positive/total"]) == 4
    assert len(epochs.history["negative/total"]) == 2


def test_the_seed_decides(data):
    np.testing.assert_array_equal(train(data).negative_context, train(data).negative_context)
    assert (train(data).negative_context != train(data, seed=1).negative_context).any()


def test_mini_batches_hold_every_image_once_an_epoch():
    rows = torch.arange(10)
    batches = list(batches_of(rows, rows * 2, 4, 6, torch.Generator().manual_seed(0)))
    for epoch in (batches[:3], batches[3:]):
        assert sorted(torch.cat([images for images, _ in epoch]).tolist()) == list(range(10))
        assert all((labels == 2 * images).all() for images, labels in epoch)
    assert len(list(batches_of(rows, rows, 10, 3, torch.Generator()))) == 3


@pytest.mark.parametrize("size", [6, 7])
def test_as_many_images_as_a_batch_takes_come_as_they_are(size):
    rows, generator = torch.arange(6), torch.Generator().manual_seed(0)
    for images, labels in batches_of(rows, rows + 1, size, 2, generator):
        assert torch.equal(images, rows)
        assert torch.equal(labels, rows + 1)
    for classes, found in batches_of_classes(rows % 3, 3, 2, size - 2, 6, generator):
        assert torch.equal(found, torch.isin(rows % 3, classes).nonzero().ravel())


@pytest.mark.parametrize(("k", "m"), [(10, 4), (9, 3), (5, 4), (4, 3)])
def test_every_class_is_drawn_before_any_comes_again(k, m):
    labels = torch.arange(3 * k) % k
    turns = -(-k // m)
    drawn = list(batches_of_classes(labels, k, m, 100, 3 * turns, torch.Generator().manual_seed(0)))
    assert len(drawn) == 3 * turns
    for start in range(0, 3 * turns, turns):
        rounds = [classes.tolist() for classes, _ in drawn[start : start + turns]]
        before = [c for classes in rounds[:-1] for c in classes]
        assert len(set(before)) == len(before)
        assert {*before, *rounds[-1]} == set(range(k))
    for classes, rows in drawn:
        assert len(classes) == m
        assert (classes.diff() > 0).all()
        assert sorted(rows.tolist()) == [i for i in range(3 * k) if labels[i] in classes]


def test_a_step_takes_few_images_of_the_drawn_classes():
    labels = torch.arange(60) % 6
    batches = list(batches_of_classes(labels, 6, 2, 5, 60, torch.Generator().manual_seed(0)))
    for classes, rows in batches:
        assert len(set(rows.tolist())) == 5
        assert torch.isin(labels[rows], classes).all()
    assert len(torch.cat([rows for _, rows in batches]).unique()) == 60


KINDS = [{}, {"shared": False}, {"one_stage": True}, {"complementary_weight": 1.0, "train_batch_size": 4}]


@pytest.mark.parametrize("settings", KINDS, ids=str)
def test_no_more_classes_than_a_step_takes_change_nothing(data, settings):
    every, enough = (train(data, **settings, classes_per_step=m) for m in (None, 3))
    np.testing.assert_array_equal(every.positive_context, enough.positive_context)
    np.testing.assert_array_equal(every.negative_context, enough.negative_context)


@pytest.mark.parametrize("settings", KINDS, ids=str)
def test_a_step_encodes_the_drawn_classes_alone(data, settings, monkeypatch):
    encode, seen = PromptEncoder.__call__, []

    def watch(self, contexts, normalize=False, rows=None):
        if torch.is_grad_enabled():
            seen.append(rows.tolist())
        return encode(self, contexts, normalize, rows)

    monkeypatch.setattr(PromptEncoder, "__call__", watch)
    learned = train(data, **settings, classes_per_step=2)
    assert {len(rows) for rows in seen} == {2}
    assert {c for rows in seen for c in rows} == {0, 1, 2}
    again = train(data, **settings, classes_per_step=2)
    np.testing.assert_array_equal(learned.positive_context, again.positive_context)
    np.testing.assert_array_equal(learned.negative_context, again.negative_context)
    other = train(data, seed=1, **settings, classes_per_step=2)
    assert (learned.negative_context != other.negative_context).any()


def test_contexts_of_classes_that_are_not_drawn_stay(data, start):
    settings = {"shared": False, "optimizer": "sgd", "positive_steps": 1, "negative_steps": 0}
    moved = (train(data, **settings, classes_per_step=2).positive_context != start).any(axis=(1, 2))
    assert moved.sum() == 2


def test_a_loss_that_is_not_finite_stops_training():
    x = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([x], lr=1.0)
    with pytest.raises(SknegError, match="step 0; lower learning_rate"):
        minimise(lambda *_: {"a": x.sum() * torch.inf}, optimizer, iter([(x, x)]), 1, "positive", False)


def descend(steps, rate, optimizer="sgd", verbose=False):
    """Where a number ends that goes down a slope of 1, and what is recorded."""
    x = torch.zeros((), requires_grad=True)
    found = _optimizer([x], PromptRecipe(optimizer=optimizer, learning_rate=rate))
    history = minimise(
        lambda *batch: {"up": 3 * x, "down": -2 * x + sum(batch)},
        found[0], iter([(0.0, 1.0)] * steps), steps, "first", verbose, found[1],
    )  # fmt: skip
    return float(x.detach()), history


def test_sgd_goes_at_a_rate_that_falls_and_rises_again_in_100_steps():
    rates = 0.1 * (1 + np.cos(np.pi * np.arange(250) / 100)) / 2
    for steps in (1, 100, 250):
        assert descend(steps, 0.1)[0] == pytest.approx(-rates[:steps].sum(), rel=1e-4)


def test_adam_goes_at_one_rate():
    assert descend(150, 0.1, "adam")[0] == pytest.approx(-15, rel=1e-3)


def test_every_term_of_every_step_is_recorded_before_the_step():
    end, history = descend(3, 0.1)
    assert set(history) == {"first/up", "first/down", "first/total"}
    assert all(isinstance(values, np.ndarray) for values in history.values())
    np.testing.assert_allclose(history["first/total"], history["first/up"] + history["first/down"])
    np.testing.assert_allclose(history["first/up"][:2], [0, -0.3], rtol=1e-5)
    assert history["first/total"][0] == 1
    assert end < history["first/up"][-1] / 3


def test_a_bar_is_shown_where_it_is_asked_for(capsys):
    descend(3, 0.1)
    descend(0, 0.1, verbose=True)
    assert capsys.readouterr().err == ""
    descend(3, 0.1, verbose=True)
    shown = capsys.readouterr().err
    assert "first prompts" in shown
    assert "3/3" in shown
    assert "step" in shown
    assert "loss=0." in shown


def test_progress_is_shown_where_it_is_asked_for(data, capsys):
    for settings in ({}, {"one_stage": True}):
        train(data, **settings)
        assert capsys.readouterr().err == ""
    recipe = PromptRecipe(positive_steps=1, negative_steps=1)
    train_prompts(data.tower, NAMES, data.images, LABELS, recipe, verbose=True)
    shown = capsys.readouterr().err
    assert "positive prompts" in shown
    assert "negative prompts" in shown
    train_positives_without(
        data.tower, NAMES, data.images, LABELS, recipe, np.array([0, 0, 0, 1, 1, 1]),
        anchors=data.anchors, words=data.words, verbose=True,
    )  # fmt: skip
    assert "positive prompts" in capsys.readouterr().err


def test_prompts_that_were_not_trained_have_no_history():
    assert LearnedPrompts(np.zeros(2), np.zeros(2)).history == {}
