"""How likely each label is to be right, from what several classifiers say of images that they have not seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_softmax

# Chosen on flips of seed 100, with 0, .02, .05, .1, .2 and .4 (benchmarks/label_errors.py reports seeds 0 to 4).
_ALIKE = 0.1  # share of the wrong labels that are of a class alike; the others are of any other class
_USUAL = 0.05  # share of wrong labels, before anything is seen, and the images that this counts for
_WEIGHT = 10
_ROUNDS = 200  # of the estimate of that share
_MOST = 2**23  # images x classes by which opinions are weighed


def chance_right(opinions: Sequence[np.ndarray], y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The chance that each label is right, and the posterior of the classes.

    The posterior is ``p = softmax(sum_j a_j log p_j)``, a pool of the classifiers' posteriors. A share e of the
    labels is wrong: of an image that is of class c, with 9 of 10 wrong labels any other class is as likely, and
    with the others a class c' by how alike they are, ``s(c' | c)``, the normalized ``sum_i p_i(c) p_i(c')``. So
    the label y of an image is right with the chance::

        (1 - e) p(y) / ((1 - e) p(y) + e (.9 (1 - p(y)) / (k - 1) + .1 sum_c p(c) s(y | c)))

    a_j are most likely for the labels, as if wrong ones were of any class, and e is found by expectation
    maximization: wrong labels do not teach the weights that they are right.

    Parameters
    ----------
    opinions : sequence of ndarray of shape (n, k)
        Log posteriors of each image by a classifier that was fitted without it.
    y : ndarray of shape (n,), int
        From 0 to k - 1, k > 1.

    Returns
    -------
    right : ndarray of shape (n,)
    log_p : ndarray of shape (n, k)

    References
    ----------
    .. [1] Angluin and Laird, "Learning From Noisy Examples", Machine Learning 1988 (the share of wrong labels).
    .. [2] Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR
       2021, which counts wrong labels from out-of-sample posteriors.
    """
    n, k = opinions[0].shape
    some = slice(None, None, -(-n * k // _MOST))
    weights = _weights([opinion[some] for opinion in opinions], y[some])
    log_p = log_softmax(sum(a * opinion for a, opinion in zip(weights, opinions, strict=True)), axis=1)
    p = np.exp(log_p)
    alike = p.T @ p
    np.fill_diagonal(alike, 0)
    alike /= np.maximum(alike.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    own = p[np.arange(n), y]
    wrong = (1 - _ALIKE) * (1 - own) / (k - 1) + _ALIKE * np.einsum("nk,kn->n", p, alike[:, y])
    share = _USUAL
    for _ in range(_ROUNDS):
        right = (1 - share) * own / np.maximum((1 - share) * own + share * wrong, np.finfo(float).tiny)
        share = ((1 - right).sum() + _USUAL * _WEIGHT) / (n + _WEIGHT)
    return right, log_p


def _weights(opinions: Sequence[np.ndarray], y: np.ndarray) -> np.ndarray:
    """Weights a_j of the opinions, under a log-normal prior of precision .3 at 1 for their sum."""
    n, k = opinions[0].shape
    rows, start = np.arange(n), -np.log(len(opinions))
    labelled = [opinion[rows, y] for opinion in opinions]

    def loss(u: np.ndarray) -> tuple[float, np.ndarray]:
        a, share = np.exp(u[:-1]), expit(u[-1])
        log_p = log_softmax(sum(w * opinion for w, opinion in zip(a, opinions, strict=True)), axis=1)
        p = np.exp(log_p)
        own = p[rows, y]
        other = (1 - own) / (k - 1)
        seen = np.maximum((1 - share) * own + share * other, np.finfo(float).tiny)
        steep = (1 - share - share / (k - 1)) * own / seen
        prior = np.append(u[:-1] - start, u[-1] + 3)
        precision = np.append(np.full(len(a), 0.3), 1.0)
        slopes = [
            -w * (steep @ (mine - np.einsum("nk,nk->n", p, opinion)))
            for w, mine, opinion in zip(a, labelled, opinions, strict=True)
        ]
        slopes.append(-((other - own) / seen).sum() * share * (1 - share))
        return float(-np.log(seen).sum() + prior**2 @ precision / 2), np.array(slopes) + prior * precision

    bounds = [(start - 6, start + 4)] * len(opinions) + [(-8.0, 0.0)]
    u = minimize(loss, [*[start] * len(opinions), -3.0], jac=True, method="L-BFGS-B", bounds=bounds).x
    return np.exp(u[:-1])
