"""Scores as pure functions of cosines; larger = more in-distribution.

All are computed in log space and float64, so that no ranking is lost at any temperature.

References
----------
.. [1] Ming et al., "Delving into Out-of-Distribution Detection with Vision-Language Representations",
   NeurIPS 2022 (MCM).
.. [2] Li et al., "Learning Transferable Negative Prompts for Out-of-Distribution Detection", CVPR 2024.
"""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax, logsumexp

from .errors import InputError


def _scaled(cosines: np.ndarray, temperature: float) -> np.ndarray:
    if not temperature > 0:
        raise InputError(f"temperature must be positive, got {temperature!r}.")
    return np.asarray(cosines, dtype=np.float64) / temperature


def _log_share(logits: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Log of the softmax share of one column in each row.

    As a function of its lead over all other columns: ``logit - logsumexp(logits)`` rounds to 0 for
    every share close to 1, and their ranking is lost.
    """
    rows = np.arange(len(logits))
    lead = logits[rows, columns]
    others = logits.copy()
    others[rows, columns] = -np.inf
    return -np.logaddexp(0, logsumexp(others, axis=1) - lead)


def mcm(cosines: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Maximum concept matching [1]_: the log of the largest softmax probability.

    Parameters
    ----------
    cosines : array-like of shape (n, k)
        Cosines of n images to the texts of k classes.
    temperature : float, default=1.0
        What cosines are divided by.

    Returns
    -------
    ndarray of shape (n,), float64
        In (-inf, 0].

    Raises
    ------
    InputError
        If the temperature is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from skneg.scores import mcm
    >>> np.exp(mcm(np.array([[0.3, 0.3]])))
    array([0.5])
    """
    logits = _scaled(cosines, temperature)
    return _log_share(logits, logits.argmax(axis=1))


def negprompt(
    positive_cosines: np.ndarray, negative_cosines: np.ndarray, temperature: float = 1.0
) -> np.ndarray:
    """NegPrompt's score, the log of eq. 3 of [2]_: MCM with the negatives in the denominator.

    Parameters
    ----------
    positive_cosines : array-like of shape (n, k)
        Cosines of n images to the positives of k classes.
    negative_cosines : array-like of shape (n, m)
        Cosines to the m negatives; with m = 0 this is `mcm`.
    temperature : float, default=1.0
        What cosines are divided by. At 1 the negatives act through their mean, at 0.01 the nearest
        ones decide.

    Returns
    -------
    ndarray of shape (n,), float64
        In (-inf, 0].

    Raises
    ------
    InputError
        If the temperature is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from skneg.scores import negprompt
    >>> np.exp(negprompt(np.array([[0.3, 0.3]]), np.array([[0.3, 0.3]])))
    array([0.25])
    """
    positives = _scaled(positive_cosines, temperature)
    negatives = _scaled(negative_cosines, temperature)
    return _log_share(np.concatenate([positives, negatives], axis=1), positives.argmax(axis=1))


def class_posterior(cosines: np.ndarray, temperature: float) -> np.ndarray:
    """Closed-set class posterior, eq. 1 of [2]_.

    Parameters
    ----------
    cosines : array-like of shape (n, k)
    temperature : float
        What cosines are divided by.

    Returns
    -------
    ndarray of shape (n, k), float64
        Rows sum to 1.
    """
    return np.exp(log_softmax(_scaled(cosines, temperature), axis=1))
