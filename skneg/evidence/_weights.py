"""How far each part of the score is to be trusted: what it knows about the labels of training images."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax

FLOOR = 0.05  # nats; the smallest scale: below it, rounding would count
PRIOR = 5  # images that a value without any image counts for, beside those that are cross-fitted


def information(logits: np.ndarray, y: np.ndarray) -> float:
    """Share of the labels' entropy that logits explain at their best temperature: 0 nothing, 1 all.

    Parameters
    ----------
    logits : ndarray of shape (n, k)
    y : ndarray of shape (n,), int

    Returns
    -------
    float
        ``1 - loss / H(y)``, between 0 and .99, with the mean cross-entropy as loss.
    """
    shares = np.bincount(y) / len(y)
    entropy = -np.sum(shares[shares > 0] * np.log(shares[shares > 0]))
    if entropy == 0:
        return 0.0
    rows = np.arange(len(y))

    def loss(u: float) -> float:
        return -log_softmax(np.exp(u) * logits, axis=1)[rows, y].mean()

    best = minimize_scalar(loss, bounds=(-6, 4), method="bounded").fun
    return float(np.clip(1 - best / entropy, 0, 0.99))


def odds(shares: np.ndarray) -> np.ndarray:
    """What parts that know such `shares` of the labels count for, up to a factor."""
    return np.sqrt(shares / (1 - shares))


def posterior_weights(text: np.ndarray, images: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Weights (a, l) of ``softmax(a text + l images)`` that make the labels most likely.

    Under a log-normal prior of precision 3 at a = 1, l = 8.
    """
    rows, prior, precision = np.arange(len(y)), np.log([1.0, 8.0]), 3.0

    def loss(u: np.ndarray) -> tuple[float, np.ndarray]:
        a, l = np.exp(prior + u)  # noqa: E741
        log_p = log_softmax(a * text + l * images, axis=1)
        p = np.exp(log_p)
        slopes = [w * ((p * part).sum() - part[rows, y].sum()) for w, part in ((a, text), (l, images))]
        return -log_p[rows, y].sum() + precision / 2 * (u @ u), np.array(slopes) + precision * u

    u = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-4, 1.5), (-4, 3)]).x
    return tuple(np.exp(prior + u))


def separation(known: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Weights (p,) of parts, centred and scaled, that tell known images from unknown ones.

    Those of a logistic regression in which both sides count the same, under a ridge of 1/20; none is below
    0, and the largest is 1, unless none tells anything.

    Parameters
    ----------
    known, unknown : ndarray of shape (n, p)
    """
    p = known.shape[1]
    sides = [
        (np.pad(part, ((0, 0), (0, 1)), constant_values=1), sign)
        for part, sign in ((known, -1), (unknown, 1))
    ]

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        value, slopes = w[:p] @ w[:p] / 40, np.append(w[:p], 0) / 20
        for part, sign in sides:
            z = sign * (part @ w)
            value += np.logaddexp(0, z).mean()
            slopes += sign * (expit(z) @ part) / len(part)
        return value, slopes

    bounds = [*[(0, None)] * p, (None, None)]
    w = minimize(loss, np.zeros(p + 1), jac=True, method="L-BFGS-B", bounds=bounds).x[:p]
    return w / (w.max() or 1.0)
