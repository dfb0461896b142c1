import numpy as np
import pytest
from scipy.special import log_softmax

from skneg.inspection._label_noise import chance_right


def noisy(n=1500, k=5, share=0.1, seed=0):
    """Labels drawn from a known posterior, of which a share is replaced by any other."""
    rng = np.random.default_rng(seed)
    log_p = log_softmax(rng.normal(scale=5, size=(n, k)), axis=1)
    y = np.array([rng.choice(k, p=p) for p in np.exp(log_p)])
    is_wrong = rng.random(n) < share
    y[is_wrong] = (y[is_wrong] + rng.integers(1, k, is_wrong.sum())) % k
    return log_p, y, is_wrong


def test_chances_are_those_of_the_labels():
    log_p, y, is_wrong = noisy()
    right, found = chance_right([log_p], y, alike=0.001)
    assert (1 - right).sum() == pytest.approx(is_wrong.sum(), rel=0.2)
    for low, high in ((0.0, 0.2), (0.2, 0.8), (0.8, 1.01)):
        inside = (right >= low) & (right < high)
        assert inside.sum() > 40
        assert (~is_wrong[inside]).mean() == pytest.approx(right[inside].mean(), abs=0.1)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1)
    np.testing.assert_allclose(np.exp(found), np.exp(log_p), atol=0.1)  # posteriors that are right are kept


def test_a_classifier_that_is_too_sure_or_knows_nothing_is_weighed_down():
    log_p, y, _ = noisy()
    right, found = chance_right([log_p], y, alike=0.1)
    noise = log_softmax(np.random.default_rng(1).normal(scale=5, size=log_p.shape), axis=1)
    again, _ = chance_right([log_softmax(8 * log_p, axis=1), noise], y, alike=0.1)
    assert np.corrcoef(right, again)[0, 1] > 0.98
    assert np.abs(right - again).mean() < 0.03
    assert found.shape == log_p.shape


def test_the_formula_by_hand():
    # Sure of four images, in doubt about none: weights do not matter, and all but row 3 are labelled right.
    log_p = np.log(np.array([[0.98, 0.01, 0.01], [0.01, 0.98, 0.01], [0.01, 0.01, 0.98], [0.98, 0.01, 0.01]]))
    y = np.array([0, 1, 2, 2])
    right, found = chance_right([log_p], y, alike=0.5)
    p = np.exp(found)
    s = p.T @ p
    np.fill_diagonal(s, 0)
    s /= s.sum(axis=1, keepdims=True)
    own = p[np.arange(4), y]
    w = 0.5 * np.array([p[i] @ s[:, y[i]] for i in range(4)]) + 0.5 * (1 - own) / 2
    odds = right / (1 - right) / (own / w)  # (1 - e) / e
    np.testing.assert_allclose(odds, odds[0])
    assert odds[0] > 1
    assert right.argmin() == 3


def test_look_alikes_count_more_where_wrong_labels_name_them():
    log_p, y, _ = noisy(k=4, share=0.0)
    # Classes 0 and 1 share what they do not claim for themselves; 2 and 3 likewise.
    twin = np.array([1, 0, 3, 2])
    truth = np.arange(2000) % 4
    rng = np.random.default_rng(0)
    logits = np.full((2000, 4), -8.0)
    logits[np.arange(2000), truth] = 0
    logits[np.arange(2000), twin[truth]] = -3
    log_p = log_softmax(logits + rng.normal(scale=0.3, size=logits.shape), axis=1)
    y = truth.copy()
    y[:100] = twin[truth[:100]]
    few, many = (chance_right([log_p], y, alike=alike)[0][:100].mean() for alike in (0.01, 0.9))
    assert many < few - 0.1


def test_posteriors_of_zero_are_finite():
    log_p = np.full((6, 2), -650.0)
    log_p[np.arange(6), [0, 0, 0, 1, 1, 1]] = 0
    right, found = chance_right([log_p, log_p], np.array([0, 0, 1, 1, 1, 1]), alike=0.1)
    assert np.isfinite(right).all()
    assert np.isfinite(found).all()
    assert right.argmin() == 2
