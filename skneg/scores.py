"""Scores as pure functions of cosines; larger = more in-distribution.

All are computed in log space, with sums in float64, so that no ranking is lost at any temperature. Cosines
in float32 stay so until they are summed: what that adds to the rounding of the cosines is less than 1e-6 of
a score.

References
----------
.. [1] Ming et al., "Delving into Out-of-Distribution Detection with Vision-Language Representations",
   NeurIPS 2022 (MCM).
.. [2] Li et al., "Learning Transferable Negative Prompts for Out-of-Distribution Detection", CVPR 2024.
.. [3] Liu et al., "Energy-based Out-of-distribution Detection", NeurIPS 2020.
.. [4] Cao et al., "Envisioning Outlier Exposure by Large Language Models for OOD Detection", ICML 2024.
.. [5] Jiang et al., "Negative Label Guided OOD Detection with Pretrained Vision-Language Models",
   ICLR 2024.
.. [6] Miyai et al., "GL-MCM: Global and Local Maximum Concept Matching", IJCV 2025.
.. [7] Nie et al., "Out-of-Distribution Detection with Negative Prompts", ICLR 2024 (LSN).
.. [8] Wang et al., "CLIPN for Zero-Shot OOD Detection: Teaching CLIP to Say No", ICCV 2023.
.. [9] "InterNeg", CVPR 2026, with the term log C of "TINS", arXiv 2605.10756.
"""

from __future__ import annotations

from numbers import Integral

import numpy as np

from ._softmax import log_softmax, logsumexp, scaled
from .errors import InputError


def _floats(cosines: np.ndarray) -> np.ndarray:
    return cosines if hasattr(cosines, "dtype") else np.asarray(cosines, dtype=np.float64)


def _energy(cosines: np.ndarray, temperature: float) -> np.ndarray:
    """``log sum exp(cosines / temperature)`` of each row (n,), float64."""
    return logsumexp(cosines, axis=1, temperature=temperature)


def _log_share(cosines: np.ndarray, columns: np.ndarray, temperature: float) -> np.ndarray:
    """Log of the softmax share of one column in each row.

    As a function of its lead over all other columns: ``logit - logsumexp(logits)`` rounds to 0 for
    every share close to 1, and their ranking is lost.
    """
    rows = np.arange(len(cosines))
    lead = scaled(cosines[rows, columns], temperature)
    others = cosines.copy()
    others[rows, columns] = -np.inf
    return -np.logaddexp(0, _energy(others, temperature) - lead)


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
    cosines = _floats(cosines)
    return _log_share(cosines, cosines.argmax(axis=1), temperature)


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
    positives = _floats(positive_cosines)
    both = np.concatenate([positives, negative_cosines], axis=1)
    return _log_share(both, positives.argmax(axis=1), temperature)


def negative_odds(
    positive_cosines: np.ndarray,
    negative_cosines: np.ndarray,
    word_cosines: np.ndarray,
    temperature: float = 0.01,
    negative_weight: float = 0.1,
) -> np.ndarray:
    """Log odds of the classes against words and negative prompts, times the temperature.

    With E(c) = t log sum exp(c / t), the energy at temperature t:
    ``E(positive) - E(words) - negative_weight E(negative)``. Without the last term it ranks as NegLabel
    with one group does [5]_; without words and negatives it is the energy [3]_. Our own.

    Parameters
    ----------
    positive_cosines : array-like of shape (n, k)
        Cosines of n images to the positives of k classes.
    negative_cosines : array-like of shape (n, m)
        Cosines to the learned negatives; m = 0 leaves their term out.
    word_cosines : array-like of shape (n, w)
        Cosines to the words; w = 0 leaves their term out.
    temperature : float, default=0.01
        What cosines are divided by.
    negative_weight : float, default=0.1
        Weight of the learned negatives.

    Returns
    -------
    ndarray of shape (n,), float64

    Raises
    ------
    InputError
        If the temperature is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from skneg.scores import negative_odds
    >>> none = np.empty((1, 0))
    >>> negative_odds(np.array([[0.3]]), none, np.array([[0.1]])).round(6)
    array([0.2])
    """
    score = energy(positive_cosines, temperature)
    if np.shape(word_cosines)[1]:
        score = score - energy(word_cosines, temperature)
    if np.shape(negative_cosines)[1] and negative_weight:
        score = score - negative_weight * energy(negative_cosines, temperature)
    return score


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
    return np.exp(log_softmax(scaled(cosines, temperature), axis=1))


def max_logit(cosines: np.ndarray) -> np.ndarray:
    """The largest cosine (MaxLogit).

    Parameters
    ----------
    cosines : array-like of shape (n, k)

    Returns
    -------
    ndarray of shape (n,), float64
        In [-1, 1].
    """
    return _floats(cosines).max(axis=1).astype(np.float64)


def energy(cosines: np.ndarray, temperature: float = 0.01) -> np.ndarray:
    """Negative free energy, T logsumexp(z / T) [3]_.

    Parameters
    ----------
    cosines : array-like of shape (n, k)
    temperature : float, default=0.01
        T. As it falls the score nears `max_logit`, as it grows the mean cosine; code bases use 0.01 and
        1, which order images differently.

    Returns
    -------
    ndarray of shape (n,), float64

    Raises
    ------
    InputError
        If the temperature is not positive.
    """
    return temperature * _energy(cosines, temperature)


def eoe(
    positive_cosines: np.ndarray,
    outlier_cosines: np.ndarray,
    temperature: float = 1.0,
    weight: float = 0.25,
) -> np.ndarray:
    """Envisioning outlier exposure [4]_: largest known share minus a part of the largest outlier share.

    Parameters
    ----------
    positive_cosines : array-like of shape (n, k)
        Cosines to the known classes.
    outlier_cosines : array-like of shape (n, m)
        Cosines to the outlier names.
    temperature : float, default=1.0
        Of the softmax over both.
    weight : float, default=0.25
        Of the outlier share (beta in [4]_).

    Returns
    -------
    ndarray of shape (n,), float64
    """
    positives, outliers = _floats(positive_cosines), _floats(outlier_cosines)
    every = _energy(np.concatenate([positives, outliers], axis=1), temperature)
    known, outlier = (np.exp(scaled(part.max(axis=1), temperature) - every) for part in (positives, outliers))
    return known - weight * outlier


def neglabel(
    positive_cosines: np.ndarray,
    negative_cosines: np.ndarray,
    temperature: float = 0.01,
    n_groups: int = 1,
) -> np.ndarray:
    """NegLabel's score [5]_: the log of the mean over groups of the known classes' share of mass.

    Parameters
    ----------
    positive_cosines : array-like of shape (n, k)
        Cosines to the known classes.
    negative_cosines : array-like of shape (n, m)
        Cosines to the negative labels, in the order in which they fall into groups.
    temperature : float, default=0.01
        Of the softmax.
    n_groups : int, default=1
        Groups of m // n_groups labels; labels left over are not used, as published.

    Returns
    -------
    ndarray of shape (n,), float64
        In (-inf, 0].
    """
    negatives, _ = _grouped(negative_cosines, temperature, n_groups)
    shares = -np.logaddexp(0, negatives - _energy(positive_cosines, temperature)[:, None])
    return logsumexp(shares, axis=1) - np.log(n_groups)


def _grouped(cosines: np.ndarray, temperature: float, n_groups: int) -> tuple[np.ndarray, int]:
    """`_energy` of each group (n, n_groups), and how many columns a group has."""
    cosines = _floats(cosines)
    if not isinstance(n_groups, Integral) or not 1 <= n_groups <= cosines.shape[1]:
        raise InputError(f"n_groups={n_groups!r} must be an integer from 1 to {cosines.shape[1]}.")
    size = cosines.shape[1] // n_groups
    grouped = cosines[:, : size * n_groups].reshape(len(cosines), n_groups, size)
    return logsumexp(grouped, axis=2, temperature=temperature), size


def interneg(
    positive_cosines: np.ndarray,
    negative_cosines: np.ndarray,
    temperature: float = 0.01,
    n_groups: int = 5,
) -> np.ndarray:
    """InterNeg's score [9]_: `neglabel` of the mean mass of a class against that of a negative.

    The log of the mean over the groups g of ``sigmoid(lse(P) - lse(N_g) + log |N_g| - log C)``, with P the
    C cosines to the classes and N_g those to the negatives of a group, both over the temperature.

    Parameters
    ----------
    positive_cosines : array-like of shape (n, C)
    negative_cosines : array-like of shape (n, m)
        In the order in which they fall into groups.
    temperature : float, default=0.01
    n_groups : int, default=5
        Groups of m // n_groups negatives; those left over are not used.

    Returns
    -------
    ndarray of shape (n,), float64
        In (-inf, 0].
    """
    known = _energy(positive_cosines, temperature) - np.log(np.shape(positive_cosines)[1])
    negatives, size = _grouped(negative_cosines, temperature, n_groups)
    lead = known[:, None] - negatives + np.log(size)
    return logsumexp(-np.logaddexp(0, -lead), axis=1) - np.log(n_groups)


def local_mcm(local_cosines: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """The local part of GL-MCM [6]_: the largest softmax probability of any class at any patch.

    Parameters
    ----------
    local_cosines : array-like of shape (n, patches, k)
    temperature : float, default=1.0
        Of the softmax over the classes of a patch.

    Returns
    -------
    ndarray of shape (n,), float64
        A probability, in (0, 1].
    """
    cosines = _floats(local_cosines)
    every = logsumexp(cosines, axis=2, temperature=temperature)
    return np.exp(scaled(cosines.max(axis=2), temperature) - every).max(axis=1)


def lsn(positive_cosines: np.ndarray, negative_cosines: np.ndarray, temperature: float = 0.01) -> np.ndarray:
    """Learned semantic negatives [7]_: largest share over positives minus smallest over negatives.

    Parameters
    ----------
    positive_cosines : array-like of shape (n, k)
    negative_cosines : array-like of shape (n, k)
        Cosine to each class's negative.
    temperature : float, default=0.01
        Of both softmaxes.

    Returns
    -------
    ndarray of shape (n,), float64
    """
    positives, negatives = _floats(positive_cosines), _floats(negative_cosines)
    largest = scaled(positives.max(axis=1), temperature) - _energy(positives, temperature)
    smallest = scaled(negatives.min(axis=1), temperature) - _energy(negatives, temperature)
    return np.exp(largest) - np.exp(smallest)


def clipn_ctw(positive_cosines: np.ndarray, no_cosines: np.ndarray, temperature: float = 0.01) -> np.ndarray:
    """CLIPN, competing to win [8]_: log of how far the best class's "yes" outweighs its "no".

    Parameters
    ----------
    positive_cosines, no_cosines : array-like of shape (n, k)
        Cosines to each class's text by the text tower and by the "no" tower.
    temperature : float, default=0.01
        What the difference of cosines is divided by.

    Returns
    -------
    ndarray of shape (n,), float64
        In (-inf, 0].
    """
    positives = scaled(positive_cosines, temperature)
    lead = positives - scaled(no_cosines, temperature)
    return -np.logaddexp(0, -lead[np.arange(len(lead)), positives.argmax(axis=1)])


def clipn_atd(positive_cosines: np.ndarray, no_cosines: np.ndarray, temperature: float = 0.01) -> np.ndarray:
    """CLIPN, agreeing to differ [8]_: log of the share of mass whose class says "yes".

    Parameters
    ----------
    positive_cosines, no_cosines : array-like of shape (n, k)
    temperature : float, default=0.01

    Returns
    -------
    ndarray of shape (n,), float64
        In (-inf, 0].
    """
    positives, no = scaled(positive_cosines, temperature), scaled(no_cosines, temperature)
    return logsumexp(log_softmax(positives, axis=1) - np.logaddexp(0, no - positives), axis=1)
