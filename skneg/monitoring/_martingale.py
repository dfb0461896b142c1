"""Evidence that scores have become smaller, to be looked at after every one: a conformal test martingale.

References
----------
.. [1] Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005.
.. [2] Vovk et al., "Retrain or not retrain: conformal test martingales for change-point detection",
   COPA 2021.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._utils import check_seed
from ..metrics._ranking import check_scores

# Each bets that a share of the p-values has the density e * p**(e - 1), and the others are uniform. Shares
# and e are spread evenly, in logarithms, over what may come; a bettor that is wrong costs a factor of at most
# their number.
_SHARES = np.array([0.01, 0.03, 0.1, 0.3, 1.0])
_POWERS = np.array([0.1, 0.3])
_RESTART = 0.001  # of each bettor's money goes to all of them, after every image: changes may come late


class Martingale:
    """A bet against "these scores and the first ones come in no particular order" [1]_.

    Each new score gets a p-value among all that were there before it, the reference and the stream. While
    the claim holds, these are independent and uniform, and the money of whoever bets against them is a
    martingale: the chance that it is ever multiplied by 1 / a, however long the stream is and whenever one
    looks, is at most a (Ville's inequality). It grows where scores are smaller than before. Bettors that
    bet on shares from 1 % to all of the images share the money, and start again and again [2]_.

    Parameters
    ----------
    reference : array-like of shape (n,)
        Scores of images of the known classes, such as ``detector.calibration_scores_``.
    random_state : int, RandomState instance or None, default=0
        Draws the place of a score among equal ones, and within its step.

    Attributes
    ----------
    log_evidence : float
        The natural logarithm of the money, which was 1 at first.

    Examples
    --------
    >>> import numpy as np
    >>> from skneg.monitoring import Martingale
    >>> rng = np.random.default_rng(0)
    >>> martingale = Martingale(rng.normal(size=200))
    >>> _ = martingale.update(rng.normal(size=300))
    >>> bool(martingale.log_evidence < np.log(100))
    True
    >>> _ = martingale.update(rng.normal(size=100) - 2)
    >>> bool(martingale.log_evidence > np.log(100))
    True
    """

    def __init__(self, reference: ArrayLike, random_state: Any = 0) -> None:
        self._seen = sorted(check_scores(reference, "reference").tolist())
        self._random = check_seed(random_state)
        shares, powers = (grid.ravel() for grid in np.meshgrid(_SHARES, _POWERS))
        # One of them does not bet: what it has is there for a change that comes late.
        self._shares, self._powers = np.append(shares, 0.0), np.append(powers, 1.0)
        self._money = np.full(len(self._shares), 1 / len(self._shares))
        self.log_evidence = 0.0

    def update(self, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Go on with new scores, in their order.

        Parameters
        ----------
        scores : array-like of shape (n,)

        Returns
        -------
        p_values : ndarray of shape (n,), float64
            Of each score among those before it; small = smaller than they are.
        log_evidence : ndarray of shape (n,), float64
            The logarithm of the money after each.
        """
        values = check_scores(scores, "scores") if np.size(scores) else np.empty(0)
        p_values, evidence = np.empty(len(values)), np.empty(len(values))
        draws = 1 - self._random.random_sample(len(values))  # above 0, as p-values must be
        for row, (score, draw) in enumerate(zip(values.tolist(), draws.tolist(), strict=True)):
            first, last = bisect_left(self._seen, score), bisect_right(self._seen, score)
            p_values[row] = p = (first + draw * (last - first + 1)) / (len(self._seen) + 1)
            insort(self._seen, score)
            money = self._money * self._bets(p)
            total = money.sum()
            self._money = (1 - _RESTART) * money / total + _RESTART / len(money)
            self.log_evidence += float(np.log(total))
            evidence[row] = self.log_evidence
        return p_values, evidence

    def onset(self, p_values: np.ndarray) -> int:
        """From which of the p-values on there is a change, taking that there is one until their end.

        The beginning of the stretch, up to the end, on which one of the bettors has won most.
        """
        won = np.cumsum(np.log(self._bets(p_values[:, None])), axis=0)
        won = np.vstack([np.zeros(won.shape[1]), won])
        best = int(np.argmax(won[-1] - won.min(axis=0)))
        return int(len(p_values) - np.argmin(won[::-1, best]))

    def _bets(self, p: Any) -> Any:
        """What each bettor's money is multiplied by."""
        return 1 - self._shares + self._shares * self._powers * p ** (self._powers - 1)
