"""How likely each label is to be right, from what classifiers say of images that they have not seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_softmax

_USUAL = -3.0  # log odds of a wrong label, before anything is seen
_ROUNDS = 3
_MOST = 2**23  # images x classes by which opinions are weighed
_TINY = np.finfo(float).tiny


def chance_right(
    opinions: Sequence[np.ndarray], y: np.ndarray, alike: float
) -> tuple[np.ndarray, np.ndarray]:
    """The chance that each label is right, and the posterior of the classes.

    The posterior is ``p = softmax(sum_j a_j log p_j)``, a pool of the classifiers' posteriors. A share e of
    the labels is wrong [1]_. Of these a share `alike` names a class c' by how alike it is to the image's own
    c, ``s(c' | c)``, which is ``sum_i p_i(c) p_i(c')`` normalized; the others name any class but c. So the
    label y of an image is right with the chance::

        (1 - e) p(y) / ((1 - e) p(y) + e w(y))
        w(y) = alike sum_c p(c) s(y | c) + (1 - alike) (1 - p(y)) / (k - 1)

    a_j and e are most likely for the labels, with w of the round before: wrong labels do not teach the
    weights that they are right.

    Parameters
    ----------
    opinions : sequence of ndarray of shape (n, k)
        Log posteriors of each image by a classifier that was fitted without it.
    y : ndarray of shape (n,), int
        From 0 to k - 1, k > 1.
    alike : float

    Returns
    -------
    right : ndarray of shape (n,)
    log_p : ndarray of shape (n, k)

    References
    ----------
    .. [1] Angluin and Laird, "Learning From Noisy Examples", Machine Learning 1988.
    """
    n, k = opinions[0].shape
    rows = np.arange(n)
    step = -(-n * k // _MOST)
    u = np.append(np.full(len(opinions), -np.log(len(opinions))), _USUAL)
    wrong = np.full(n, 1 / k)
    for _ in range(_ROUNDS):
        u = _most_likely([opinion[::step] for opinion in opinions], y[::step], wrong[::step], u)
        pooled = sum(a * opinion for a, opinion in zip(np.exp(u[:-1]), opinions, strict=True))
        log_p = log_softmax(pooled, axis=1)
        p = np.exp(log_p)
        near = p.T @ p
        np.fill_diagonal(near, 0)
        near /= np.maximum(near.sum(axis=1, keepdims=True), _TINY)
        own = p[rows, y]
        wrong = alike * np.einsum("nk,kn->n", p, near[:, y]) + (1 - alike) * (1 - own) / (k - 1)
    share = expit(u[-1])
    return (1 - share) * own / np.maximum((1 - share) * own + share * wrong, _TINY), log_p


def _most_likely(
    opinions: Sequence[np.ndarray], y: np.ndarray, wrong: np.ndarray, start: np.ndarray
) -> np.ndarray:
    """Logarithms of the weights a_j, and the log odds of e, under a normal prior."""
    rows = np.arange(len(y))
    usual = np.append(np.full(len(opinions), -np.log(len(opinions))), _USUAL)
    precision = np.append(np.full(len(opinions), 0.3), 1.0)

    def loss(u: np.ndarray) -> tuple[float, np.ndarray]:
        a, share = np.exp(u[:-1]), expit(u[-1])
        log_p = log_softmax(sum(w * opinion for w, opinion in zip(a, opinions, strict=True)), axis=1)
        p = np.exp(log_p)
        own = p[rows, y]
        seen = np.maximum((1 - share) * own + share * wrong, _TINY)
        slopes = [
            -w * ((1 - share) * own / seen) @ (opinion[rows, y] - np.einsum("nk,nk->n", p, opinion))
            for w, opinion in zip(a, opinions, strict=True)
        ]
        slopes.append(((own - wrong) / seen).sum() * share * (1 - share))
        away = u - usual
        return float(-np.log(seen).sum() + away**2 @ precision / 2), np.array(slopes) + away * precision

    low, high = np.append(usual[:-1] - 6, -9.0), np.append(usual[:-1] + 4, 0.0)
    return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=list(zip(low, high, strict=True))).x
