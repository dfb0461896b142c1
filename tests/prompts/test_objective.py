"""Every loss term against a value worked out by hand in numpy."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, logsumexp

from skneg.prompts import PromptRecipe
from skneg.prompts.objective import Objective

from ..conftest import random_unit

N, K, P, D, W, T = 6, 3, 2, 8, 400, 0.05
rng = np.random.default_rng(0)


unit = partial(random_unit, rng)


IMAGES, ANCHORS, WORDS, POSITIVES, NEGATIVES = unit(N, D), unit(K, D), unit(W, D), unit(K, D), unit(P, K, D)
LABELS = np.array([0, 1, 2, 0, 1, 2])
TOWER = SimpleNamespace(device=torch.device("cpu"), temperature=T)


def objective(words=WORDS, anchors=ANCHORS, **settings):
    generator = torch.Generator().manual_seed(0)
    return Objective(TOWER, PromptRecipe(**settings), IMAGES, LABELS, anchors, words, generator)


def of_positives(positives=POSITIVES, rows=range(N), **settings):
    own = objective(**settings)
    rows = torch.tensor(list(rows))
    terms = own.of_positives(torch.from_numpy(positives), torch.from_numpy(IMAGES)[rows], rows)
    return {name: float(term) for name, term in terms.items()}


def of_negatives(negatives=NEGATIVES, **settings):
    terms = objective(**settings).of_negatives(
        torch.from_numpy(POSITIVES), torch.from_numpy(negatives), torch.from_numpy(IMAGES), torch.arange(N)
    )
    return {name: float(term) for name, term in terms.items()}


def logits(images, texts):
    return images.astype(np.float64) @ texts.astype(np.float64).reshape(-1, D).T / T


@pytest.mark.parametrize("with_words", [True, False])
@pytest.mark.parametrize("rows", [range(N), [4, 1, 2]])
def test_cross_entropy_counts_all_words_as_one_more_class_of_their_summed_mass(with_words, rows):
    rows = list(rows)
    z = logits(IMAGES[rows], POSITIVES)
    if with_words:
        z = np.hstack([z, logsumexp(logits(IMAGES[rows], WORDS), axis=1, keepdims=True)])
    expected = -log_softmax(z, axis=1)[np.arange(len(rows)), LABELS[rows]].mean()
    got = of_positives(words=WORDS if with_words else None, rows=rows)
    assert got["cross_entropy"] == pytest.approx(expected, rel=1e-5)


def test_the_anchor_is_the_weighted_mean_distance_to_the_hand_written_prompts():
    expected = 1 - np.mean([p @ a for p, a in zip(POSITIVES, ANCHORS, strict=True)])
    assert of_positives(anchor_weight=3.0)["anchor"] == pytest.approx(3 * expected, rel=1e-5)
    assert of_positives(positives=ANCHORS)["anchor"] == pytest.approx(0, abs=1e-4)
    assert "anchor" not in of_positives(anchor_weight=0.0)
    assert "anchor" not in of_positives(anchors=None)


@pytest.mark.parametrize("over", ["negatives", "all"])
def test_nis_spreads_images_evenly(over):
    z = logits(IMAGES, NEGATIVES)
    if over == "all":
        z = np.hstack([logits(IMAGES, POSITIVES), z])
    expected = -log_softmax(z, axis=1).mean()
    assert of_negatives(nis_over=over)["nis"] == pytest.approx(expected, rel=1e-5)


def test_npd_rewards_negatives_near_their_own_positive():
    expected = -np.mean([NEGATIVES[i, j] @ POSITIVES[j] for i in range(P) for j in range(K)])
    assert of_negatives(beta=0.7)["npd"] == pytest.approx(0.7 * expected, rel=1e-5)
    at_the_positives = np.broadcast_to(POSITIVES, (P, K, D)).copy()
    assert of_negatives(at_the_positives, beta=0.7)["npd"] == pytest.approx(-0.7, rel=1e-5)


def test_nnd_punishes_negatives_of_a_class_that_are_alike():
    pairs = [
        NEGATIVES[i, j] @ NEGATIVES[h, j] for j in range(K) for i in range(P) for h in range(P) if i != h
    ]
    assert of_negatives(gamma=0.3)["nnd"] == pytest.approx(0.3 * np.mean(pairs), rel=1e-4)
    alike = np.broadcast_to(NEGATIVES[0], (P, K, D)).copy()
    assert of_negatives(alike, gamma=0.3)["nnd"] == pytest.approx(0.3, rel=1e-5)


def test_each_weight_acts_on_its_own_term_alone():
    base = of_negatives()
    for weight, term in (("beta", "npd"), ("gamma", "nnd"), ("outlier_weight", "outliers")):
        default = getattr(PromptRecipe(), weight)
        changed = of_negatives(**{weight: 4 * default})
        assert changed[term] == pytest.approx(4 * base[term], rel=1e-5)
        assert {k: v for k, v in changed.items() if k != term} == {k: v for k, v in base.items() if k != term}


def test_outliers_are_words_moved_to_the_images():
    gap = IMAGES.astype(np.float64).mean(axis=0) - ANCHORS.mean(axis=0)
    moved = WORDS + gap
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    near = moved[np.argsort(-(WORDS @ ANCHORS.T).max(axis=1))[:300]]
    drawn = moved[torch.randint(W, (300,), generator=torch.Generator().manual_seed(0)).numpy()]

    def lead(rows):
        return logsumexp(logits(rows, POSITIVES), axis=1) - logsumexp(logits(rows, NEGATIVES), axis=1)

    def softplus(x):
        return np.logaddexp(0, x).mean()

    expected = sum(softplus(lead(rows)) + softplus(-lead(IMAGES)) for rows in (near, drawn))
    assert of_negatives(outlier_weight=2.0)["outliers"] == pytest.approx(2 * expected, rel=1e-4)


@pytest.mark.parametrize("settings", [{"words": None}, {"anchors": None}, {"outlier_weight": 0.0}])
def test_without_words_or_weight_there_are_no_outliers(settings):
    assert "outliers" not in of_negatives(**settings)


def test_the_training_temperature_takes_the_place_of_the_models_own():
    z = logits(IMAGES, NEGATIVES) * T / 0.2
    expected = -log_softmax(z, axis=1).mean()
    assert of_negatives(train_temperature=0.2)["nis"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("n_rivals", [1, 2, 99])
def test_a_class_leads_on_its_own_images_and_not_on_those_of_its_rivals(n_rivals):
    positive, negative = logits(IMAGES, POSITIVES), logits(IMAGES, NEGATIVES).reshape(N, P, K)
    leads = positive - logsumexp(negative, axis=1) + np.log(P)
    expected = np.mean([np.log1p(np.exp(-leads[i, LABELS[i]])) for i in range(N)])
    others = []
    for i in range(N):
        alike = [c for c in np.argsort(-positive[i]) if c != LABELS[i]][:n_rivals]
        others += [np.log1p(np.exp(leads[i, c])) for c in alike]
    expected += np.mean(others)
    got = of_negatives(complementary_weight=0.5, n_rivals=n_rivals)
    assert got["complementary"] == pytest.approx(0.5 * expected, rel=1e-5)


@pytest.mark.parametrize("classes", [[0, 2], [1, 2], [0, 1, 2]], ids=str)
def test_terms_of_some_classes_are_those_of_a_problem_that_knows_no_others(classes):
    rows = torch.tensor([i for i in range(N) if LABELS[i] in classes])
    settings = {"complementary_weight": 1.0, "nis_over": "all", "outlier_weight": 0.0}
    numbers = np.searchsorted(classes, LABELS[rows])
    alone = Objective(
        TOWER, PromptRecipe(**settings), IMAGES[rows], numbers, ANCHORS[classes], WORDS, torch.Generator()
    )
    x, own = torch.from_numpy(IMAGES)[rows], torch.from_numpy(POSITIVES[classes])
    negatives = torch.from_numpy(NEGATIVES[:, classes])
    drawn, among = torch.tensor(classes), objective(**settings)
    for got, expected in (
        (among.of_positives(own, x, rows, drawn), alone.of_positives(own, x, torch.arange(len(rows)))),
        (
            among.of_negatives(own, negatives, x, rows, drawn),
            alone.of_negatives(own, negatives, x, torch.arange(len(rows))),
        ),
    ):
        assert set(got) == set(expected)
        for term, value in expected.items():
            assert float(got[term]) == pytest.approx(float(value), rel=1e-5)


def test_losses_can_be_left_out():
    assert set(of_negatives(nis_over=None)) == {"npd", "nnd", "outliers"}
