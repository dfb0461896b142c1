"""Losses of nameless prompts against values worked out by hand in numpy, and their training."""

import numpy as np
import pytest
import torch

from skneg.backbone import load_backbone
from skneg.prompts import CoOpRecipe
from skneg.prompts.nameless import (
    diversity,
    embed_nameless,
    id_like_loss,
    local_prompt_loss,
    train_beside_nameless,
)

RNG = np.random.default_rng(0)
# Two images with three parts of each kind; two classes and three nameless prompts.
LIKE, UNLIKE = RNG.normal(size=(2, 3, 5)), RNG.normal(size=(2, 3, 5))
LABELS, K = np.array([1, 0]), 2


def terms(loss):
    found = loss(torch.from_numpy(LIKE), torch.from_numpy(UNLIKE), torch.from_numpy(LABELS), K)
    return {name: float(term) for name, term in found.items()}


def test_local_prompts_by_hand():
    positive, negative = [], []
    for like, unlike, label in zip(np.exp(LIKE), np.exp(UNLIKE), LABELS, strict=True):
        best = np.sort(like, axis=0)[-2:]
        positive.append(-np.log(best[:, label].sum() / best.sum()))
        rows = np.argsort(-unlike[:, label])[:2]
        nameless = unlike[rows, K:].sum()
        negative.append(-np.log(nameless / (nameless + np.sort(unlike[:, :K], axis=0)[-2:].sum())))
    expected = {"local": np.mean(positive), "local_negative": 5 * np.mean(negative)}
    assert terms(local_prompt_loss(2, 5.0)) == pytest.approx(expected)


def test_more_parts_than_there_are_count_as_all():
    assert terms(local_prompt_loss(9, 1.0)) == terms(local_prompt_loss(3, 1.0))


def test_id_like_by_hand():
    p, q = (np.exp(z) / np.exp(z).sum(axis=2, keepdims=True) for z in (LIKE, UNLIKE))
    expected = {
        "cross_entropy": -np.mean([np.log(p[i, :, label]) for i, label in enumerate(LABELS)]),
        "outliers": 0.3 * np.log(q[:, :, :K].sum(axis=2)).mean(),
    }
    assert terms(id_like_loss(0.3)) == pytest.approx(expected)


def test_outliers_that_are_far_away_have_no_more_to_give():
    far = torch.from_numpy(UNLIKE + np.array([-900.0] * K + [0.0] * 3))
    loss = id_like_loss(1.0)(torch.from_numpy(LIKE), far, torch.from_numpy(LABELS), K)["outliers"]
    assert float(loss) == pytest.approx(np.log(1e-16))


def test_diversity_by_hand():
    prompts = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-0.6, 0.8]])  # cosines 0, -0.6 and 0.8
    assert float(diversity(prompts, positive_part=False)) == pytest.approx(0.2 / 3)
    assert float(diversity(prompts, positive_part=True)) == pytest.approx(0.8 / 3)
    assert float(diversity(prompts[:1], positive_part=True)) == 0


def test_nameless_prompts_learn_to_win_on_parts_that_are_unlike_the_class():
    tower, names = load_backbone("skneg-tiny").text_tower, ["star", "heart"]
    targets = np.repeat([0, 1], 6)
    like, strange = tower.encode(["a star", "a heart"])[targets], tower.encode(["a red fish"])
    parts = np.stack([like, np.repeat(strange, 12, axis=0)], axis=1)[:, :, None]
    recipe = CoOpRecipe(n_ctx=4, n_epochs=30, learning_rate=0.05, train_temperature=0.05)

    def share_of_classes(recipe):
        learned = train_beside_nameless(
            tower,
            names,
            parts,
            targets,
            recipe,
            id_like_loss(1.0),
            n_negative=3,
            diversity_weight=0.1,
            seed=0,
        )
        assert learned.negative_context.shape == (3, 4, tower.width)
        assert {name.split("/")[1] for name in learned.history} == {
            "cross_entropy", "outliers", "diversity", "total",
        }  # fmt: skip
        return learned.history["joint/outliers"]

    history = share_of_classes(recipe)
    assert history[-1] < history[0] - 0.5


def test_nameless_contexts_are_embedded_with_nothing_but_a_full_stop():
    tower = load_backbone("skneg-tiny").text_tower
    words = tower.token_embedding(tower.tokenize(["red fish"])[0, 1:3]).detach().numpy()
    np.testing.assert_allclose(embed_nameless(tower, words[None]), tower.encode(["red fish ."]), atol=1e-5)
