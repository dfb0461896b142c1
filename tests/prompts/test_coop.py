"""CoOp's losses against values worked out by hand in numpy, and its training on a few embeddings."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from skneg.prompts import CoOpRecipe, PromptEncoder, context_from_text, encode_prompts
from skneg.prompts.coop import coop_loss, fa_loss, locoop_loss, train_coop

N, PATCHES, K = 5, 4, 3
NAMES = ["star", "heart", "key"]
TARGETS = np.array([0, 1, 2, 0, 1, 2])


@pytest.fixture
def logits():
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, K)) * 2, rng.normal(size=(N, PATCHES, K)) * 2, np.array([0, 1, 2, 1, 0])


def tensors(parts):
    return [torch.from_numpy(part) for part in parts]


def entropies(local):
    p = softmax(local, axis=2)
    return -(p * np.log(p + 1e-5)).sum(axis=2)


def own_class_is_missing(local, labels, top_k):
    """Whether the image's class is not among the likeliest of each patch."""
    return np.array(
        [
            [label not in np.argsort(-patch)[:top_k] for patch in patches]
            for patches, label in zip(local, labels, strict=True)
        ]
    )


def test_coop_is_the_cross_entropy_of_the_whole_image(logits):
    whole, local, labels = logits
    expected = -log_softmax(whole, axis=1)[np.arange(N), labels].mean()
    terms = coop_loss(*tensors((whole, np.full_like(local, np.nan), labels)))
    assert {name: float(term) for name, term in terms.items()} == {"cross_entropy": pytest.approx(expected)}


@pytest.mark.parametrize("top_k", [1, 2])
def test_locoop_raises_the_entropy_of_patches_that_do_not_show_the_class(logits, top_k):
    _, local, labels = logits
    background = own_class_is_missing(local, labels, top_k)
    assert 0 < background.sum() < N * PATCHES
    terms = locoop_loss(0.25, top_k)(*tensors(logits))
    assert float(terms["entropy"]) == pytest.approx(-0.25 * entropies(local)[background].mean())
    assert float(terms["cross_entropy"]) == pytest.approx(float(coop_loss(*tensors(logits))["cross_entropy"]))


def test_self_calibration_weighs_each_image_by_how_sure_it_is(logits):
    whole, local, labels = logits
    share = softmax(whole, axis=1)[np.arange(N), labels]
    background = own_class_is_missing(local, labels, 1)
    terms = locoop_loss(0.25, 1, self_calibrated=True)(*tensors(logits))
    assert float(terms["cross_entropy"]) == pytest.approx(-((1 - share) * np.log(share)).mean())
    weighted = (entropies(local) * share[:, None])[background]
    assert float(terms["entropy"]) == pytest.approx(-0.25 * weighted.mean())


def test_without_a_background_there_is_no_entropy(logits):
    for top_k in (K, 200):  # the class is always among all of them
        assert float(locoop_loss(0.25, top_k)(*tensors(logits))["entropy"]) == 0


def test_fa_counts_the_frozen_prompts_as_wrong_answers_each_so_many_times():
    # Learned masses 6 and 1, frozen 2 and 1: 6 / (7 + 3 * 3) and 1 / 16.
    whole = torch.log(torch.tensor([[6.0, 1.0, 2.0, 1.0]])).repeat(2, 1)
    terms = fa_loss(3)(whole, whole[:, None], torch.tensor([0, 1]))
    assert float(terms["cross_entropy"]) == pytest.approx((np.log(16 / 6) + np.log(16)) / 2)


@pytest.mark.parametrize("n_copies", [1, 3])
def test_fa_is_the_cross_entropy_of_copies_that_are_written_out(logits, n_copies):
    whole, local, labels = tensors(logits)
    frozen = whole.flip(1)
    written_out = torch.cat([whole, *[frozen] * n_copies], dim=1)
    terms = fa_loss(n_copies)(torch.cat([whole, frozen], dim=1), local, labels)
    expected = coop_loss(written_out, local, labels)["cross_entropy"]
    torch.testing.assert_close(terms["cross_entropy"], expected)


@pytest.fixture(scope="module")
def images(tiny_tower):
    rng = np.random.default_rng(0)
    near = tiny_tower.encode([f"a photo of a {name}" for name in NAMES])[TARGETS]
    near = near + rng.normal(scale=0.1, size=near.shape)
    return (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32)


def train(tower, images, loss=coop_loss, n_negative=0, seed=0, **settings):
    recipe = CoOpRecipe(**{"n_ctx": 4, "n_epochs": 4, **settings})
    return train_coop(tower, NAMES, images, TARGETS, recipe, loss, n_negative=n_negative, seed=seed)


def test_the_first_epoch_is_a_warm_up_down_the_gradient(tiny_tower, images):
    images = images[::-1].copy()  # most with a wrong label, so that the gradient is large
    start = context_from_text(tiny_tower, "a photo of a")
    context = start.clone().requires_grad_()
    encoder = PromptEncoder(tiny_tower, len(context), NAMES)
    logits = torch.from_numpy(images) @ encoder(context[None], normalize=True)[0].T / 0.02
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(TARGETS))
    (gradient,) = torch.autograd.grad(loss, context)
    learned = train(tiny_tower, images, n_epochs=1, context_init="a photo of a", train_temperature=0.02)
    assert learned.history["positive/cross_entropy"] == pytest.approx(loss.item(), rel=1e-4)
    moved = (learned.positive_context - start.numpy()) / 1e-5
    expected = -(gradient + 5e-4 * start).numpy()
    np.testing.assert_allclose(moved, expected, atol=0.02 * np.abs(expected).max())


def test_training_lowers_the_loss_and_the_seed_decides(tiny_tower, images):
    learned, again, other = (
        train(tiny_tower, images, n_epochs=15, learning_rate=0.02, seed=seed) for seed in (0, 0, 1)
    )
    losses = learned.history["positive/cross_entropy"]
    assert losses[-1] < losses[0]
    np.testing.assert_array_equal(again.positive_context, learned.positive_context)
    assert (other.positive_context != learned.positive_context).any()
    assert learned.negative_context.shape == (0, 3, 4, tiny_tower.width)


def test_an_epoch_is_as_many_steps_as_it_has_batches(tiny_tower, images):
    history = train(tiny_tower, images, n_epochs=2, train_batch_size=4).history
    assert {name: len(values) for name, values in history.items()} == {
        "positive/cross_entropy": 4, "positive/total": 4,
    }  # fmt: skip


def test_negatives_are_learned_afterwards_and_leave_the_positive_alone(tiny_tower, images):
    none, some = (train(tiny_tower, images, n_negative=n, learning_rate=0.02) for n in (0, 2))
    np.testing.assert_array_equal(some.positive_context, none.positive_context)
    assert some.negative_context.shape == (2, 3, 4, tiny_tower.width)
    assert len(some.history["negative/orthogonality"]) == len(some.history["negative/negative"]) == 4
    assert some.history["negative/total"][-1] < some.history["negative/total"][0]


def test_negatives_are_unlike_the_images_of_their_class_and_unlike_each_other(tiny_tower, images):
    # A single epoch is a warm-up, which leaves the negatives all but where they started.
    learned = train(tiny_tower, images, n_negative=3, n_epochs=1, train_temperature=0.1)
    contexts = torch.from_numpy(learned.negative_context)
    features = encode_prompts(tiny_tower, contexts, NAMES, normalize=True).numpy().astype(np.float64)
    logits = images @ features.mean(axis=0).T / 0.1
    expected = -log_softmax(-logits, axis=1)[np.arange(len(TARGETS)), TARGETS].mean()
    assert learned.history["negative/negative"][0] == pytest.approx(expected, rel=1e-3)
    cosines = [
        sum(abs(features[i, k] @ features[j, k]) for i, j in ((0, 1), (0, 2), (1, 2))) for k in range(K)
    ]
    assert learned.history["negative/orthogonality"][0] == pytest.approx(0.1 * np.mean(cosines), rel=1e-3)


def test_patches_reach_the_loss_apart_from_the_whole_image(tiny_tower, images):
    seen = []

    def loss(whole, local, labels):
        seen.append((whole.detach().numpy(), local.detach().numpy()))
        return coop_loss(whole, local, labels)

    patches = np.stack([images, images[::-1], -images], axis=1)
    train(tiny_tower, patches, loss, n_epochs=1)
    train(tiny_tower, images, loss, n_epochs=1)
    (whole, local), (alone, nothing) = seen
    np.testing.assert_allclose(whole, alone, atol=1e-3)
    np.testing.assert_allclose(local[:, 0], whole[::-1], atol=1e-3)
    np.testing.assert_allclose(local[:, 1], -whole, atol=1e-3)
    assert nothing.shape == (6, 0, 3)
