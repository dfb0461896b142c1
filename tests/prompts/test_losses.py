import numpy as np
import pytest
import torch
from torch.nn import functional

from skneg.errors import InputError
from skneg.prompts.losses import nis, nnd, npd, textual_outliers

P, K, D, N = 3, 4, 8, 5


@pytest.fixture
def features():
    g = torch.Generator().manual_seed(0)
    return tuple(
        functional.normalize(torch.randn(shape, generator=g, dtype=torch.float64), dim=-1)
        for shape in ((P, K, D), (K, D), (N, D))
    )


def test_nis_is_the_cross_entropy_of_uniform_against_softmax(features):
    negatives, positives, images = features
    to_negatives = images @ negatives.flatten(0, 1).T / 0.01
    to_positives = images @ positives.T / 0.01
    for logits, got in (
        (to_negatives, nis(to_negatives)),
        (torch.cat([to_negatives, to_positives], 1), nis(to_negatives, to_positives, over="all")),
    ):
        shares = np.exp(logits.numpy() - logits.numpy().max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        expected = np.mean([-np.sum(np.log(row) / len(row)) for row in shares])
        assert float(got) == pytest.approx(expected)


def test_nis_as_printed_ignores_a_common_shift_of_the_negatives():
    negative, positive = torch.randn(N, 6).double(), torch.randn(N, 3).double()
    assert float(nis(negative + 5)) == pytest.approx(float(nis(negative)))
    assert float(nis(negative + 5, positive, over="all")) != pytest.approx(
        float(nis(negative, positive, over="all"))
    )


def test_npd_is_minus_the_mean_cosine_to_the_own_positive(features):
    negatives, positives, _ = features
    expected = -np.mean([float(negatives[i, j] @ positives[j]) for i in range(P) for j in range(K)])
    assert float(npd(negatives, positives)) == pytest.approx(expected)


def test_nnd_is_the_mean_over_ordered_pairs_of_a_class(features):
    negatives, _, _ = features
    cosines = [
        float(negatives[i, j] @ negatives[other, j])
        for j in range(K)
        for i in range(P)
        for other in range(P)
        if other != i
    ]
    assert len(cosines) == K * P * (P - 1)
    assert float(nnd(negatives)) == pytest.approx(np.mean(cosines))
    assert float(nnd(negatives[:1])) == 0


def test_unusable_arguments_are_named():
    with pytest.raises(InputError, match="over"):
        nis(torch.zeros(1, 2), over="positives")
    with pytest.raises(InputError, match="positive_logits"):
        nis(torch.zeros(1, 2), over="all")


def test_textual_outliers_is_the_logistic_loss_of_the_odds():
    image = np.array([[2.0, 1.0]]), np.array([[0.5]])
    outlier = np.array([[0.0, 1.0]]), np.array([[3.0]])
    odds = [np.exp(p).sum() / np.exp(n).sum() for p, n in (image, outlier)]
    expected = np.log1p(odds[1]) + np.log1p(1 / odds[0])
    got = textual_outliers(*(torch.tensor(part) for part in (*image, *outlier)))
    assert float(got) == pytest.approx(expected)
